# SPDX-License-Identifier: BSD-3-Clause
"""The snapshot in steps, for a few ranks with a trace: the processes with what is in their channels and below what has been recorded; a
step before the snapshot, one for each record, and one at the end."""
import math
from collections import namedtuple

from ..trace import MARKER_RECEIVED, MARKER_SENT, RECEIVE, SEND
from .markup import number, tag
from .spacetime import window
from .svg import Drawing, head, legend, path

RANKS = 4  # more don't fit
WIDTH, HEIGHT, RADIUS, NODE, BOW = 280, 236, 84, 19, 30

Step = namedtuple("Step", "text recorded channels empty found")
Step.__doc__ = """A state of the whole: text, recorded (ranks), channels ((source, destination): names of what is in it, MARKER for a marker), empty
(channels whose marker has come), found (for each rank the messages that its snapshot has so far)."""
MARKER = "marker"


class _State:
    """The state after some events."""

    def __init__(self, trace, names):
        self.trace, self.names, self.events = trace, names, trace.events
        self.channels, self.empty, self.recorded = {}, set(), []
        self.found = [[] for _ in range(trace.size)]
        self._markers, self._kept = {}, {}  # by rank, since the last step: whose markers have come, which messages it has recorded
        for row, name in names.items():
            if self.events["kind"][row] == RECEIVE:  # sent before what the trace has
                self._into(int(self.events["peer"][row]), int(self.events["rank"][row]), name)

    def _into(self, source, destination, what):
        self.channels.setdefault((source, destination), []).append(what)

    def apply(self, row):
        trace = self.trace
        me, peer, kind = int(self.events["rank"][row]), int(self.events["peer"][row]), self.events["kind"][row]
        if kind == SEND and row in self.names:
            self._into(me, peer, self.names[row])
        elif kind == RECEIVE:
            self._receive(row, me, peer)
        elif kind == MARKER_SENT and trace.other[row] >= 0 and trace.here[row]:
            self._into(me, peer, MARKER)
        elif kind == MARKER_RECEIVED and MARKER in self.channels.get((peer, me), []):
            self.channels[peer, me].remove(MARKER)
            self.empty.add((peer, me))
            self._markers.setdefault(me, []).append(peer)
        elif row == trace.record[me]:
            self.recorded.append(me)

    def _receive(self, row, me, peer):
        name = self.names.get(int(self.trace.other[row]), self.names.get(row))
        if name in self.channels.get((peer, me), []):
            self.channels[peer, me].remove(name)
            if self.trace.kind_of(row) == "crossing":
                self.keep(me, name)

    def keep(self, rank, name):
        self.found[rank].append(name)
        self._kept.setdefault(rank, []).append(name)

    def step(self, text):
        told = [f"{_name(rank)} has recorded {', '.join(names)}." for rank, names in self._kept.items()]
        for rank, sources in self._markers.items():
            others = _names(source for source in sources if source != rank)
            if "," in others:
                told.append(f"The markers of {others} have reached {_name(rank)}: those channels are empty.")
            elif others:
                told.append(f"The marker of {others} has reached {_name(rank)}: that channel is empty.")
        step = Step(" ".join([*told, text]), list(self.recorded), {key: list(what) for key, what in self.channels.items() if what},
                    set(self.empty), [list(names) for names in self.found])
        self._markers, self._kept = {}, {}
        return step


def _name(rank):
    return f"p{rank + 1}"


def _names(ranks):
    return ", ".join(map(_name, sorted(ranks)))


def _markers_behind(trace, record, rows):
    """The markers, of these rows, that a rank sends right behind its record."""
    row, end = record + 1, trace.end[trace.events["rank"][record]]
    while row < end and row in rows and trace.events["kind"][row] == MARKER_SENT:
        row += 1
    return list(range(record + 1, row))


def _keep_the_rest(state, rows):
    """Messages in flight that were not received as far as the trace goes: they are in the snapshot all the same."""
    for row, name in state.names.items():
        if state.events["kind"][row] == SEND and state.trace.kind_of(row) == "crossing" and int(state.trace.other[row]) not in rows:
            state.keep(int(state.events["peer"][row]), name)


def steps(trace):
    """The Steps of a trace."""
    order, names = window(trace)
    state, done, result, rows = _State(trace, names), set(), [], set(order)
    for row in order:
        if row in done:
            continue
        rank = int(trace.events["rank"][row])
        if row == trace.record[rank] and not result:
            result.append(state.step("Before the snapshot."))
        state.apply(row)
        if row == trace.record[rank]:
            markers = _markers_behind(trace, row, rows)
            for marker in markers:
                state.apply(marker)
            done.update(markers)
            to = _names(int(trace.events["peer"][m]) for m in markers if trace.events["peer"][m] != rank)
            result.append(state.step(f"{_name(rank)} records its state" + (f" and sends a marker to {to}." if to else ".")))
    _keep_the_rest(state, rows)
    orphans = sorted({names.get(row) or names[int(trace.other[row])] for row in trace.orphans if row in names or int(trace.other[row]) in names})
    result.append(state.step(f"No consistent cut: received before it and sent after it: {', '.join(orphans)}." if len(trace.orphans) else
                             "All markers have come: the snapshot is complete."))
    return result


# ---- drawing ----

def _centre(rank, size):
    """On a circle, as the notes have them: the first at the top left, the second at the top right."""
    angle = math.pi * (-0.5 + (2 * rank - 1) / size)
    return WIDTH / 2 + RADIUS * math.cos(angle) * 1.15, 116 + RADIUS * math.sin(angle)


def _channel(drawing, key, what, empty, size):
    """A bow from one process to the other, with what is in it; the oldest is the nearest to the receiver."""
    (x1, y1), (x2, y2) = _centre(key[0], size), _centre(key[1], size)
    length = math.hypot(x2 - x1, y2 - y1)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    x1, y1, x2, y2 = x1 + NODE * ux, y1 + NODE * uy, x2 - NODE * ux, y2 - NODE * uy
    cx, cy = (x1 + x2) / 2 + BOW * uy, (y1 + y2) / 2 - BOW * ux
    style = "channel empty" if empty else "channel"
    drawing.add(path(f"M{number(x1)} {number(y1)}Q{number(cx)} {number(cy)} {number(x2)} {number(y2)}", style),
                path(head(x2, y2, math.atan2(y2 - cy, x2 - cx), 8.0), f"head {style}"))
    for i, name in enumerate(what[:3]):
        t = 1 - (i + 1) / (min(len(what), 3) + 1)
        px = (1 - t) ** 2 * x1 + 2 * t * (1 - t) * cx + t * t * x2
        py = (1 - t) ** 2 * y1 + 2 * t * (1 - t) * cy + t * t * y2
        if name == MARKER:
            drawing.add(path(f"M{px - 7:.1f} {py + 6:.1f}L{px:.1f} {py - 7:.1f}L{px + 7:.1f} {py + 6:.1f}Z", "marker-here", "a marker"))
        else:
            drawing.add(tag("circle", cx=px, cy=py, r=11, class_="message-here"))
            drawing.text(px, py + 3.5, name if i < 2 or len(what) < 4 else f"+{len(what) - 2}", "message-name", "middle")


def _draw(step, channels, size, title):
    drawing = Drawing(WIDTH, HEIGHT, f"{title} {step.text}")
    for key in sorted(channels):
        if key[0] != key[1]:
            _channel(drawing, key, step.channels.get(key, []), key in step.empty, size)
    for rank in range(size):
        x, y = _centre(rank, size)
        drawing.add(tag("circle", cx=x, cy=y, r=NODE, class_="process recorded" if rank in step.recorded else "process"))
        drawing.text(x, y + 4.5, _name(rank), "process-name recorded" if rank in step.recorded else "process-name", "middle")
    return drawing.html()


def draw(trace):
    """A picture of each step with the table of what is recorded below it."""
    parts = []
    all_steps = steps(trace)
    channels = {key for step in all_steps for key in [*step.channels, *step.empty]}
    for at, step in enumerate(all_steps):
        title = f"({at + 1})"
        names = tag("tr", [tag("th", _name(rank), scope="col") for rank in range(trace.size)])
        row = tag("tr", [tag("td", ", ".join(found) or "\u2013" if rank in step.recorded else "") for rank, found in enumerate(step.found)])
        parts.append(tag("figure", _draw(step, channels, trace.size, title),
                         tag("table", tag("caption", "Snapshot"), tag("thead", names), tag("tbody", row), class_="recorded"),
                         tag("figcaption", tag("b", title), " ", step.text)))
    marks = legend(("process recorded", "has recorded"), ("marker-here", "marker"), ("channel empty", "its marker has come: empty"))
    return [tag("div", parts, class_="steps"), marks,
            tag("p", f"p1 to p{trace.size} are the ranks 0 to {trace.size - 1}; m1, m2, ... as in the diagram above.", class_="note")]
