# SPDX-License-Identifier: BSD-3-Clause
"""What happened before what, by brute force, from the events in a snapshot; shares nothing with Wavecut's own check."""
import collections
import os

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
import h5py  # noqa: E402
import numpy as np  # noqa: E402

SEND, RECEIVE, RECORD = 1, 2, 5
UNKNOWN = 2 ** 64 - 1


def read(path):
    """The rows of events, of their index and of the streams, the place of the events in the file, and of each channel with a tag what is
    in flight."""
    with h5py.File(path) as f:
        flying = collections.Counter(tuple(int(m[k]) for k in ("comm", "source", "destination", "tag"))
                                     for m in f["channels/messages"][:])
        return (f["trace/events"][:], f["trace/index"][:], f["trace/streams"][:], f["trace/events"].id.get_offset(), flying)


def stream(event):
    """(comm, source, destination, tag) of a message."""
    source, destination = (event["rank"], event["peer"]) if event["kind"] == SEND else (event["peer"], event["rank"])
    return int(event["comm"]), int(source), int(destination), int(event["tag"])


class Past:
    """rows: those of read(), perhaps changed."""

    def __init__(self, rows, index, streams):
        self.rows = rows
        self.counted = {stream(s): int(s["count"]) for s in streams if s["kind"] == SEND}
        self.ranks = [range(int(i["first"]), int(i["first"] + i["count"])) for i in index]
        kinds = rows["kind"]
        self.records = [max((e for e in r if kinds[e] == RECORD), default=None) for r in self.ranks]
        self.sends = {}
        for e in np.flatnonzero(kinds == SEND):
            self.sends[stream(rows[e]), int(rows[e]["sequence"])] = int(e)
        self.last = {of: sequence for of, sequence in sorted(self.sends)}

    def send_of(self, e):
        row = self.rows[e]
        return self.sends.get((stream(row), int(row["sequence"]))) if row["kind"] == RECEIVE else None

    def is_late(self, e):
        """Was what it has received sent when the sender's trace had been saved?"""
        row = self.rows[e]
        if row["kind"] != RECEIVE or self.send_of(e) is not None or row["sequence"] == UNKNOWN:
            return False
        of = stream(row)
        return row["sequence"] > self.last[of] if of in self.last else row["sequence"] >= self.counted.get(of, UNKNOWN)

    def of(self, event):
        """All events that happened before one, itself included."""
        found, to_do = set(), [event]
        while to_do:
            e = to_do.pop()
            if e in found:
                continue
            found.add(e)
            send = self.send_of(e)
            if send is not None:
                to_do.append(send)
            if e - 1 in self.ranks[int(self.rows[e]["rank"])]:
                to_do.append(e - 1)
        return found

    def is_consistent(self):
        """Definition 1.2: what happened before an event of the cut is in it."""
        cut = [set(range(r.start, record + 1)) for r, record in zip(self.ranks, self.records)]
        inside = set().union(*cut)
        return all(past <= inside and not any(map(self.is_late, past)) for past in map(self.of, self.records))

    def orphans(self):
        """The messages received in the cut and sent behind it, as (comm, source, destination, tag, sequence, bytes)."""
        found = set()
        for rank, events in enumerate(self.ranks):
            for e in range(events.start, self.records[rank]):
                send = self.send_of(e)
                if self.is_late(e) or (send is not None and send > self.records[int(self.rows[send]["rank"])]):
                    found.add((*stream(self.rows[e]), int(self.rows[e]["sequence"]), int(self.rows[e]["bytes"])))
        return found


def problems(path):
    """What is wrong with the trace of a snapshot of a whole run."""
    rows, index, streams, _, flying = read(path)
    past = Past(rows, index, streams)
    known = None not in past.records  # else they had no room any more
    wrong = [] if not known or past.is_consistent() else [f"not a consistent cut: {sorted(past.orphans())[:3]}"]
    pairs = collections.Counter()
    for e in np.flatnonzero(rows["kind"] == RECEIVE):
        pairs[stream(rows[e]), int(rows[e]["sequence"])] += 1
        send = past.send_of(e)
        if send is not None and rows[send]["bytes"] != rows[e]["bytes"]:
            wrong.append(f"sent and received are different messages: {rows[send]}, {rows[e]}")
    wrong += [f"received twice: {key}" for key, n in pairs.items() if n > 1 and key[1] != UNKNOWN]
    counted = {(stream(s), int(s["kind"])): int(s["count"]) for s in streams}
    for key in {k for k, _ in counted}:
        sent, received = counted.get((key, SEND), 0), counted.get((key, RECEIVE), 0)
        if sent != received + flying[key]:
            wrong.append(f"{key}: {sent} sent, {received} received, {flying[key]} in flight")
    return wrong
