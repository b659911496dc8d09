# SPDX-License-Identifier: BSD-3-Clause
"""Whether a snapshot is a consistent cut, from the file alone."""
from collections import Counter, namedtuple

import numpy as np
from numpy.lib.recfunctions import repack_fields

from .trace import Trace

Violation = namedtuple("Violation", "text source destination orphan")
Violation.__doc__ = """Why a cut is inconsistent: text, the channel (source, destination), orphan (received without being sent, not lost)."""


def communicator_name(snapshot):
    """A function that names a communicator by its uid: "world", or how it was made and the end of the uid, as `wavecut info` does."""
    how = {int(row["uid"]): row["how"].decode(errors="replace") for row in snapshot.communicators}
    return lambda uid: "world" if how.get(int(uid)) == "world" else f"{how.get(int(uid), 'communicator')} {int(uid) & 0xffffffff:08x}"


def _count(number, noun="message"):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _counters(snapshot, name):
    rows = snapshot.channels
    wrong = (rows["sent"] < rows["received"]) | (rows["sent"] - rows["received"] != rows["in_flight"])
    for row in rows[wrong]:
        comm, source, destination, sent, received, in_flight = row.tolist()
        surplus = received + in_flight - sent
        text = (f"on {name(comm)}, rank {destination} has received {_count(received)} from rank {source} before its record, and {in_flight} "
                f"{'is' if in_flight == 1 else 'are'} in flight, but rank {source} has sent {sent} before its record: "
                f"{_count(abs(surplus), 'orphan') if surplus > 0 else _count(-surplus) + ' lost'}")
        yield Violation(text, source, destination, surplus > 0)


def _messages(snapshot, name):
    """What the table of messages has against what the counters say."""
    keys = ["comm", "source", "destination"]
    channels, counts = np.unique(repack_fields(snapshot.messages[keys]), return_counts=True)
    found = Counter(dict(zip(map(tuple, channels.tolist()), counts.tolist())))
    said = {tuple(row[key].item() for key in keys): int(row["in_flight"]) for row in snapshot.channels}
    for key in sorted(found.keys() | said.keys()):
        if found[key] != said.get(key, 0):
            comm, source, destination = key
            text = (f"on {name(comm)}, {_count(said.get(key, 0))} from rank {source} to rank {destination} should be in flight, and the file has "
                    f"{found[key]}")
            yield Violation(text, source, destination, found[key] > said.get(key, 0))


def _trace(snapshot, name):
    if snapshot.trace is None:
        return
    trace = Trace(snapshot)
    for row in trace.orphans:
        got = trace.events[row]
        text = (f"on {name(got['comm'])}, rank {got['rank']} received message {got['sequence']} with tag {got['tag']} of rank {got['peer']} "
                f"before its record, and rank {got['peer']} had not sent it at its record: an orphan (by the trace)")
        yield Violation(text, int(got["peer"]), int(got["rank"]), True)


def violations(snapshot):
    """A list of Violation, by the counters, the messages, and the trace where there is one; empty if the cut is consistent. Whether the
    bytes are what was written is not asked: `wavecut verify` does that. Raises an Error."""
    name = communicator_name(snapshot)
    return [*_counters(snapshot, name), *_messages(snapshot, name), *_trace(snapshot, name)]
