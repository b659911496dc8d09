# SPDX-License-Identifier: BSD-3-Clause
"""The space-time diagram: a line for each rank, time to the right, the cut across it, and the messages that cross the cut. From the
trace of a snapshot where there is one, else from its records and messages in flight."""
import math
from collections import namedtuple

import numpy as np

from ..cut import communicator_name
from ..trace import ARMED, CLOSED, MARKER_RECEIVED, MARKER_SENT, RECEIVE, RECORD, SEND
from .markup import tag
from .svg import Drawing, head, legend, path, segment
from .units import seconds, several

LANES = 64  # more ranks are drawn in groups
EVENTS = 120  # of a trace that are drawn, but no fewer than 4 before and after the record of a rank
MARKERS = 300  # events of the protocol: if there are more, only those near the records are drawn
CROSSING = 40  # messages that are drawn wherever they were sent and received
ARROWS = 200  # channels without a trace: more are told, not drawn
FEW = 40  # up to which arrows bear numbers
WIDTH, LEFT, RIGHT, TOP = 1000, 78, 100, 36

Arrow = namedtuple("Arrow", "source destination begin end kind label title", defaults=("", ""))
Diagram = namedtuple("Diagram", "lanes ends records closed armed arrows notes width")
Diagram.__doc__ = """Places from 0 to 1 along the width. lanes: names, ends: texts at the right of them; records, closed, armed: a place for each lane or None; arrows: kind is one
of before, crossing, after, orphan, marker, and many may follow; notes: sentences; width: of the drawing, in pixels."""


def diagram(snapshot, trace, violations=()):
    """The Diagram of a snapshot; trace: its Trace, or None; violations: of the cut."""
    if snapshot.size > LANES:
        return _from_records(snapshot, -(-snapshot.size // 32), violations)
    return _from_trace(snapshot, trace) if trace else _from_records(snapshot, 1, violations)


# ---- with a trace ----

def window(trace):
    """The events around the cut, causes first, and the names m1, m2, ... of their messages by the row of the send (of the receive, where
    the trace has no send)."""
    each = max(4, EVENTS // (2 * trace.size))
    rows = np.concatenate([np.arange(max(first, record - each), min(end, record + each + 1))
                           for first, end, record in zip(trace.first, trace.end, trace.record)])
    attempt = np.flatnonzero(trace.here & (trace.events["kind"] > RECEIVE))
    rows = np.concatenate([rows, trace.crossing[:CROSSING], attempt if len(attempt) <= MARKERS else []]).astype(np.int64)
    order = trace.causal_order(np.unique(rows))
    known, crossing, kind, names = set(order), set(trace.crossing.tolist()), trace.events["kind"], {}
    for row in order:
        other_known = int(trace.other[row]) in known
        if kind[row] == SEND and (other_known or row in crossing) or kind[row] == RECEIVE and not other_known and row in crossing:
            names[row] = f"m{len(names) + 1}"
    return order, names


def _columns(trace, order):
    """Places of the events: a cause stands left of what it causes, and what came late stands not far behind the front."""
    column, last, front = {}, {}, 0
    for row in order:
        rank = int(trace.events["rank"][row])
        cause = column.get(int(trace.other[row]), -1) if trace.events["kind"][row] in (RECEIVE, MARKER_RECEIVED) else -1
        column[row] = last[rank] = max(last.get(rank, -1) + 1, cause + 1, front - 2)
        front = max(front, column[row])
    return {row: (at + 1) / (front + 2) for row, at in column.items()}, front + 2


def _messages(trace, place, names, name):
    events, kinds = trace.events, trace.events["kind"]
    for row in place:
        other = int(trace.other[row])
        if kinds[row] == MARKER_SENT and trace.here[row] and other in place:
            yield Arrow(int(events["rank"][row]), int(events["rank"][other]), place[row], place[other], "marker", "",
                        f"marker from rank {events['rank'][row]} to rank {events['rank'][other]}")
        elif row in names:
            event, sends = events[row], kinds[row] == SEND
            source, destination = (event["rank"], event["peer"]) if sends else (event["peer"], event["rank"])
            begin, end = (place[row], place.get(other, 1.0)) if sends else (0.0, place[row])
            yield Arrow(int(source), int(destination), begin, end, trace.kind_of(row), names[row],
                        f"{names[row]}: rank {source} to rank {destination}, tag {event['tag']} on {name(event['comm'])}, "
                        f"{several(event['bytes'], 'byte')}")


def _from_trace(snapshot, trace):
    order, names = window(trace)
    place, columns = _columns(trace, order)
    kind, rank = trace.events["kind"], trace.events["rank"]
    arrows = list(_messages(trace, place, names, communicator_name(snapshot)))
    if trace.size > 8:
        arrows = [a._replace(label="") for a in arrows]
    at = {k: [None] * trace.size for k in (RECORD, CLOSED, ARMED)}
    for row in order:
        if kind[row] in at and trace.here[row]:
            at[kind[row]][rank[row]] = place[row]
    notes = ["Time runs to the right in the order of cause and effect, not to scale: from the trace."]
    if len(order) < len(trace.events):
        notes.append(f"Drawn are the {len(order)} events around the cut, of {len(trace.events)} in the trace.")
    crossing = snapshot.length("channels/messages")
    drawn = sum(a.kind == "crossing" for a in arrows)
    if drawn < crossing:
        notes.append(f"{several(crossing - drawn, 'message')} in flight crossed the cut outside of these.")
    lanes = [f"rank {r}" for r in range(trace.size)]
    return Diagram(lanes, [""] * trace.size, at[RECORD], at[CLOSED], at[ARMED], arrows, notes, max(WIDTH, min(1600, LEFT + RIGHT + 16 * columns)))


# ---- without ----

def _channels_in_flight(snapshot, group):
    """Messages in flight by lanes (source, destination)."""
    rows = snapshot.channels
    rows = rows[rows["in_flight"] > 0]
    counts = {}
    for source, destination, count in zip(rows["source"].tolist(), rows["destination"].tolist(), rows["in_flight"].tolist()):
        key = source // group, destination // group
        counts[key] = counts.get(key, 0) + count
    return counts


def _single_arrows(snapshot):
    """An arrow for each message. When it was sent and received is not known: spread left and right of the cut."""
    name, rows = communicator_name(snapshot), snapshot.messages
    for i, row in enumerate(rows):
        share = (i + 1) / (len(rows) + 1)
        yield Arrow(int(row["source"]), int(row["destination"]), 0.04 + 0.22 * share, 0.74 + 0.22 * share, "crossing",
                    f"tag {row['tag']}" if len(rows) <= 12 else "",
                    f"rank {row['source']} to rank {row['destination']}, tag {row['tag']} on {name(row['comm'])}, "
                    f"{several(row['bytes'], 'byte')}")


def _channel_arrows(counts, names):
    """An arrow for each channel, the fullest ones."""
    fullest = sorted(sorted(counts, key=lambda key: (-counts[key], key))[:ARROWS])
    for i, (source, destination) in enumerate(fullest):
        share, few = (i + 1) / (len(fullest) + 1), len(fullest) <= FEW
        yield Arrow(source, destination, 0.04 + 0.22 * share, 0.74 + 0.22 * share, "crossing" if few else "crossing many",
                    str(counts[source, destination]) if few else "",
                    f"{names[source]} to {names[destination]}: {several(counts[source, destination], 'message')} in flight" if few else "")


def _of_lanes(counts, lanes):
    """How many messages are in flight from and to each lane."""
    sent, got = [0] * lanes, [0] * lanes
    for (source, destination), count in counts.items():
        sent[source] += count
        got[destination] += count
    return [f"{a} out, {b} in" if a or b else "" for a, b in zip(sent, got)]


def _orphans(violations, records, group):
    """Arrows from behind the cut to before it, of the channels that have orphans."""
    for source, destination in sorted({(v.source // group, v.destination // group) for v in violations if v.orphan})[:ARROWS]:
        yield Arrow(source, destination, min(records[source] + 0.12, 0.98), max(records[destination] - 0.12, 0.02), "orphan", "orphan",
                    f"{source} to {destination}: received before the cut, and not sent before it")


def _from_records(snapshot, group, violations):
    ranks = snapshot.ranks
    times = np.nan_to_num(ranks["record_time"] - ranks["record_time"].min())
    span = times.max()
    lanes = [f"rank {r}" if group == 1 else f"{r}-{min(r + group, snapshot.size) - 1}" for r in range(0, snapshot.size, group)]
    places = 0.4 + 0.2 * (times / span if span > 0 else times)
    records = [float(places[r:r + group].mean()) for r in range(0, snapshot.size, group)]
    notes = [f"Records are to scale, the last one {seconds(float(span))} after the first; when messages were sent and received is not known "
             f"without a trace."]
    if group > 1:
        notes.append(f"{snapshot.size} ranks are drawn in {len(lanes)} groups, each at the mean of its records.")
    counts, ends = _channels_in_flight(snapshot, group), [""] * len(lanes)
    if group == 1 and snapshot.length("channels/messages") <= 24:
        arrows = list(_single_arrows(snapshot))
    else:
        arrows = list(_channel_arrows(counts, lanes))
        notes.append("An arrow is a channel with messages in flight" + (f": the {ARROWS} fullest of {len(counts)}." if len(counts) > ARROWS else "."))
        ends = _of_lanes(counts, len(lanes))
    if not arrows:
        notes.append("No message was in flight.")
    arrows += _orphans(violations, records, group)
    nothing = [None] * len(lanes)
    return Diagram(lanes, ends, records, nothing, nothing, arrows, notes, WIDTH)


# ---- drawing ----

def _draw_cut(drawing, x, y, records):
    """The cut line from top to bottom, and the side before it."""
    points = [(x(at), y(lane)) for lane, at in enumerate(records) if at is not None]
    if not points:
        return
    points = [(points[0][0], TOP - 18)] + points + [(points[-1][0], y(len(records) - 1) + 14)]
    line = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    drawing.add(path(line + f"L{LEFT} {points[-1][1]:.1f}L{LEFT} {points[0][1]:.1f}Z", "past"), path(line, "cut"))
    drawing.text(points[0][0] + 5, 14, "cut", "cut-label")


def _draw_arrow(drawing, x, y, a, turn):
    x1, y1, x2, y2 = x(a.begin), y(a.source), x(a.end), y(a.destination)
    if a.source == a.destination:  # to itself: a bow above the line
        line, angle = f"M{x1:.1f} {y1:.1f}Q{(x1 + x2) / 2:.1f} {y1 - 22:.1f} {x2:.1f} {y2:.1f}", math.atan2(44, x2 - x1)
        label = (x1 + x2) / 2, y1 - 13
    else:
        line, angle = segment(x1, y1, x2, y2), math.atan2(y2 - y1, x2 - x1)
        share = 0.2 + 0.12 * (turn % 4)  # neighbours' labels are not beside each other
        label = x1 + share * (x2 - x1) + 4, y1 + share * (y2 - y1) - 2
    if a.kind.endswith("many"):
        drawing.add(path(line + head(x2, y2, angle), f"message {a.kind}"))
    else:
        drawing.add(path(line, f"message {a.kind}", a.title), path(head(x2, y2, angle), f"head message {a.kind}"))
    if a.label:
        drawing.text(*label, a.label, f"message-label {a.kind}")


def draw(what, label):
    """The drawing of a Diagram with its legend and notes."""
    gap = min(56.0, max(13.0, 900.0 / len(what.lanes)))
    height = TOP + gap * (len(what.lanes) - 1) + 30
    drawing = Drawing(what.width, height, label, least=what.width * 3 // 4)
    inner = what.width - LEFT - RIGHT
    x, y = (lambda at: LEFT + inner * at), (lambda lane: TOP + gap * lane + 4)
    _draw_cut(drawing, x, y, what.records)
    for lane, name in enumerate(what.lanes):
        drawing.text(LEFT - 8, y(lane) + 4, name, "lane-label", "end")
        if what.ends[lane]:
            drawing.text(what.width - RIGHT + 6, y(lane) + 4, what.ends[lane], "lane-label")
        drawing.line(LEFT, y(lane), what.width - RIGHT, y(lane), "lane")
    for turn, a in enumerate(sorted(what.arrows, key=lambda a: a.kind in ("crossing", "orphan"))):  # these on top
        _draw_arrow(drawing, x, y, a, turn)
    size = min(5.0, gap / 3)
    for lane, at in enumerate(what.records):
        for style, where in (("closed", what.closed[lane]), ("armed", what.armed[lane])):
            if where is not None:
                drawing.add(path(segment(x(where), y(lane) - size, x(where), y(lane) + size), style, f"{what.lanes[lane]} {style}"))
        if at is not None:
            px, py = x(at), y(lane)
            drawing.add(path(f"M{px - size:.1f} {py:.1f}L{px:.1f} {py - size:.1f}L{px + size:.1f} {py:.1f}L{px:.1f} {py + size:.1f}Z", "record",
                             f"{what.lanes[lane]} records"))
    return [drawing.html(), _legend(what), tag("p", " ".join(what.notes), class_="note")]


def _legend(what):
    kinds = {a.kind for a in what.arrows}
    known = (("message crossing", "crosses the cut: in flight, part of the snapshot", kinds & {"crossing", "crossing many"}),
             ("message orphan", "an orphan: received before the cut, sent after it", "orphan" in kinds),
             ("message before", "sent and received before the cut", "before" in kinds),
             ("message after", "sent after the cut: no part of it", "after" in kinds),
             ("message marker", "marker", "marker" in kinds), ("cut", "the cut, through the records", True),
             ("armed", "armed", any(at is not None for at in what.armed)),
             ("closed", "closed: all markers have come", any(at is not None for at in what.closed)))
    return legend(*((style, text) for style, text, there in known if there))
