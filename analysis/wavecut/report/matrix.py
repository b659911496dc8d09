# SPDX-License-Identifier: BSD-3-Clause
"""The channel matrix: who has what in flight to whom, and who sent how much."""
import numpy as np

from .markup import number, table, tag
from .svg import Drawing, path
from .units import several, size

LANES = 64  # more ranks are summed in groups
SHADES = 6
LEFT, TOP = 58, 44


def _sums(snapshot, rows, values, group):
    lanes = -(-snapshot.size // group)
    sums = np.zeros((lanes, lanes))
    np.add.at(sums, (rows["source"] // group, rows["destination"] // group), values)
    return sums


def _shade(sums):
    """From 0 (nothing) to SHADES, by the logarithm: channels differ by orders of magnitude."""
    top = np.log1p(sums.max()) or 1.0
    return np.where(sums > 0, np.maximum(1, np.ceil(SHADES * np.log1p(sums) / top)), 0).astype(int)


def _cells(chosen):
    """Chosen cells as the data of one path, neighbours of a row together: a matrix of 64 x 64 stays small."""
    parts = []
    for row, line in enumerate(chosen):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0))
        parts += [f"M{begin} {row}h{end - begin}v1h{begin - end}z" for begin, end in zip(edges[::2], edges[1::2])]
    return "".join(parts)


def _draw(sums, group, wrong, label):
    lanes = len(sums)
    cell = min(34.0, 420.0 / lanes)
    width = LEFT + cell * lanes + 10
    drawing = Drawing(width, TOP + cell * lanes + 10, label, least=int(min(width, 430)))
    shades = _shade(sums)
    squares = [path(data, f"shade shade{shade}") for shade in range(1, SHADES + 1) for data in [_cells(shades == shade)] if data]
    drawing.add(tag("g", squares, transform=f"translate({LEFT} {TOP}) scale({number(cell)})"))
    drawing.rect(LEFT, TOP, cell * lanes, cell * lanes, "frame")
    for source, destination in sorted(wrong):
        drawing.rect(LEFT + cell * (destination // group), TOP + cell * (source // group), cell, cell, "wrong",
                     f"rank {source} to rank {destination}: inconsistent")
    step = max(1, -(-lanes // 8))
    for lane in range(0, lanes, step):
        middle = cell * (lane + 0.5)
        drawing.text(LEFT - 5, TOP + middle + 4, lane * group, "tick", "end")
        drawing.text(LEFT + middle, TOP - 5, lane * group, "tick", "middle")
    drawing.text(LEFT + cell * lanes, TOP - 22, "to rank \u2192", "tick", "end")
    drawing.text(8, TOP - 22, "from \u2193", "tick")
    if cell >= 22:
        for r, c in np.argwhere(sums > 0):
            if 7 * len(str(int(sums[r, c]))) < cell:
                drawing.text(LEFT + cell * (c + 0.5), TOP + cell * (r + 0.5) + 4, int(sums[r, c]),
                             "cell-dark" if shades[r, c] > SHADES // 2 else "cell", "middle")
    return tag("figure", drawing.html(), tag("figcaption", label))


def _fullest(snapshot, rows):
    """A table of the channels with the most in flight."""
    key = {}
    messages = snapshot.first_messages(1_000_000)
    pairs, inverse = np.unique(np.stack([messages["source"], messages["destination"]], axis=1), axis=0, return_inverse=True)
    sums = np.bincount(inverse.ravel(), messages["bytes"].astype(float), len(pairs))
    for (source, destination), total in zip(pairs.tolist(), sums):
        key[source, destination] = total
    top = np.argsort(-rows["in_flight"].astype(float), kind="stable")[:8]
    lines = [(row["source"], row["destination"], row["sent"], row["received"], row["in_flight"],
              size(key.get((int(row["source"]), int(row["destination"])), 0))) for row in rows[top]]
    return table(["from", "to", "sent", "received", "in flight", "bytes (all communicators)"], lines,
                 f"The {len(lines)} channels with the most messages in flight, of {len(rows)}", "numbers")


def draw(snapshot, violations):
    """Matrices of what is in flight and of what was sent before the cut; inconsistent channels in red."""
    rows = snapshot.channels
    if not len(rows):
        return [tag("p", "No channel was used.")]
    group = 1 if snapshot.size <= LANES else -(-snapshot.size // LANES)
    wrong = {(v.source, v.destination) for v in violations}
    flying = _sums(snapshot, rows, rows["in_flight"].astype(float), group)
    parts = []
    if flying.any() or wrong:
        parts.append(_draw(flying, group, wrong, f"Messages in flight: {several(int(flying.sum()), 'message')}"))
    sent = _sums(snapshot, rows, rows["sent"].astype(float), group)
    parts.append(_draw(sent, group, wrong, f"Sent before the cut: {several(int(sent.sum()), 'message')}"))
    notes = ["A stronger colour is more, by the logarithm." if group == 1 else
             f"A stronger colour is more, by the logarithm; a cell sums up {group} x {group} ranks."]
    if not flying.any():
        notes.insert(0, "No message was in flight.")
    return [tag("div", parts, class_="pictures"), tag("p", " ".join(notes), class_="note"), _fullest(snapshot, rows) if flying.any() else None]
