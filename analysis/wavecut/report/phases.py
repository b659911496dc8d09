# SPDX-License-Identifier: BSD-3-Clause
"""When each rank armed, recorded, closed and had its part on the disk, and which rank the others waited for."""
import os

import numpy as np

from .markup import tag
from .svg import Drawing, legend, ticks
from .units import seconds

LANES = 64
WIDTH, LEFT, RIGHT = 1000, 78, 24
PHASES = (("arm", "heard of the request until armed"), ("record", "until recorded"), ("close", "until its channels were closed"),
          ("write", "until its part was on the disk"))


def times(ranks):
    """Seconds after the first rank heard of the request: an array of a row for each rank with when it heard, armed, recorded, closed,
    was durable. What is no time becomes the one before it."""
    ends = np.stack([ranks[name] for name in ("arm_s", "record_s", "close_s", "durable_s")], axis=1)
    ends = np.maximum.accumulate(np.where(np.isfinite(ends) & (ends > 0), ends, 0), axis=1)
    heard = np.nan_to_num(ranks["record_time"]) - ends[:, 1]
    return np.column_stack([heard, heard[:, None] + ends]) - heard.min()


def commit(snapshot, ranks):
    """When the file was committed, on the scale of times(): its time of change, if that can be it (not of a copy); else None."""
    at = times(ranks)
    begin = float(np.nan_to_num(ranks["record_time"]).max()) - float(at[np.nan_to_num(ranks["record_time"]).argmax(), 2])
    moment = os.stat(snapshot.path).st_mtime - begin
    durable = float(at[:, 4].max())
    return moment if durable - 0.01 <= moment <= durable + max(5.0, durable) else None


def blame(at):
    """A sentence on each phase of the whole, which ends when the last rank has ended it, and one on the rank that delayed the cut most: the
    last one of the longest phase."""
    ends = np.maximum.accumulate(at[:, 1:].max(axis=0))
    last, took = at[:, 1:].argmax(axis=0), np.diff(ends, prepend=0.0)
    words = ("ranks were armed", "had recorded", "channels were closed", "parts were on the disk")
    parts = [f"{seconds(float(time))} until all {what} (rank {rank} was the last)" for time, what, rank in zip(took, words, last)]
    text = f"From the request on it took {', then '.join(parts)}: {seconds(float(ends[-1]))} in all."
    if len(at) == 1:
        return text
    slow = int(took.argmax())
    rank = int(last[slow])
    late = f", which heard of the request {seconds(float(at[rank, 0]))} after the first" if slow < 2 and at[rank, 0] > took[slow] / 2 else ""
    return f"{text} The cut was delayed most by rank {rank}{late or f', by its {PHASES[slow][0]}'}."


def _draw(at, shown, end, committed, label):
    """Of the ranks that are shown, from 0 to end."""
    gap = min(22.0, max(11.0, 700.0 / len(shown)))
    height = 20 + gap * len(shown) + 24
    drawing = Drawing(WIDTH, height, label, least=760)
    x = lambda time: LEFT + (WIDTH - LEFT - RIGHT) * min(max(time, 0.0), end) / end
    for tick in ticks(0, end, 6):
        drawing.line(x(tick), 14, x(tick), height - 24, "grid")
        drawing.text(x(tick), height - 8, seconds(tick) if tick else "0", "tick", "middle")
    for lane, rank in enumerate(shown):
        y = 18 + gap * lane
        drawing.text(LEFT - 8, y + gap / 2 + 4, f"rank {rank}", "lane-label", "end")
        for phase, (name, words) in enumerate(PHASES):
            begin, stop = float(at[rank, phase]), float(at[rank, phase + 1])
            if stop > begin and begin < end:
                drawing.rect(x(begin), y + 1, max(x(stop) - x(begin), 0.5), gap - 3, f"phase {name}", f"rank {rank}, {name} ({words}): {seconds(stop - begin)}")
    if committed is not None and committed <= end:
        drawing.line(x(committed), 12, x(committed), height - 22, "commit")
        drawing.text(x(committed) - 4, 10, "commit", "tick", "end")
    return tag("figure", drawing.html(), tag("figcaption", label))


def draw(snapshot):
    """The timeline, the same again around the records if they are a small part of it, and the sentences of blame()."""
    ranks = snapshot.ranks
    at, committed = times(ranks), commit(snapshot, ranks)
    shown = list(range(len(at)))
    notes = []
    if len(shown) > LANES:
        shown = sorted(np.argsort(-at[:, 4], kind="stable")[:LANES].tolist())
        notes.append(f"Shown are the {LANES} of {len(at)} ranks that were the last to be durable.")
    hosts = len(set(ranks["host"].tolist()))
    if hosts > 1:
        notes.append(f"The ranks ran on {hosts} hosts: differences between their clocks are in the picture.")
    end = max(float(at[:, 4].max()), committed or 0.0, 1e-9)
    closed = float(at[:, 3].max())
    parts = [tag("p", blame(at))]
    if 0 < closed < 0.25 * end:
        parts.append(_draw(at, shown, closed * 1.05, None, "From the request until all channels were closed"))
    parts.append(_draw(at, shown, end * 1.02, committed, "From the request until all was on the disk"))
    notes.append("The pause of a rank, in which its program did not work, was at most "
                 f"{seconds(float(np.nan_to_num(ranks['stall_s']).max()))}. Times begin when the first rank heard of the request"
                 + ("; the commit is the file's time of change." if committed is not None else "."))
    return parts + [legend(*((f"phase-key {name}", f"{name}: {words}") for name, words in PHASES)), tag("p", " ".join(notes), class_="note")]
