# SPDX-License-Identifier: BSD-3-Clause
"""Protected arrays: what they are, and pictures of them with the borders of the ranks. Reads at most a bounded part of each."""
from collections import namedtuple

import numpy as np

from .markup import table, tag
from .png import png
from .svg import Drawing, path, ticks
from .units import ranks as rank_list
from .units import several, short, size, value

WHOLE = 16 << 20  # bytes; of larger arrays a sample is read
PIXELS, FEWER_PIXELS = 256, 128  # of a picture along an axis: of a snapshot that the page shows at once, and of the others
PICTURES = 6  # of a snapshot
ROWS = 200  # of the table
COLOURS, CHANGE_COLOURS = "viridis", "RdBu_r"

Plane = namedtuple("Plane", "values boxes text axes")
Plane.__doc__ = """What is drawn of an array: values (1-D or 2-D, real, thinned), boxes (rank, begin, end of its part in this plane, in elements), text
(what it is of the array), axes (extent of the values in elements)."""


def _real(values):
    """As floating-point numbers: complex ones by their absolute value. None for what is no number."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype.kind not in "biuf":
        return None
    return values.astype(np.float64)


def _thinned(array, lead, pixels):
    """The last two axes of an array (one, if it has one) at the indices `lead` of the others, with at most pixels x pixels elements."""
    shape = array.shape[len(lead):]
    whole = int(np.prod(shape)) * array.dtype.itemsize <= WHOLE
    if whole:
        values = array[lead + (slice(None),) * len(shape)]
        return values if len(shape) == 1 else values[tuple(slice(None, None, max(1, -(-n // pixels))) for n in shape)]
    if len(shape) == 1:  # windows: a stride would touch each page
        starts = np.linspace(0, shape[0] - 2048, 512).astype(np.int64)
        return np.concatenate([array[lead + (slice(int(s), int(s) + 2048),)] for s in starts])
    rows, columns = (max(1, -(-n // pixels)) for n in shape)
    if shape[1] * array.dtype.itemsize > WHOLE:
        return array[lead + (slice(None, None, rows), slice(None, None, columns))]
    return np.stack([array[lead + (row,)][::columns] for row in range(0, shape[0], rows)])  # a row at once is faster than with strides


def plane(array, pixels):
    """The Plane of an array for a picture of so many pixels along an axis, or None if there is nothing to draw."""
    if array.size < 2 or array.dtype.kind not in "biufc":
        return None
    flat = min(array.ndim, 2)
    lead = tuple(n // 2 for n in array.shape[:array.ndim - flat])
    values = _real(_thinned(array, lead, pixels))
    words = [] if array.ndim <= 2 else [f"the slice [{', '.join(map(str, lead))}] of {'x'.join(map(str, array.shape))}"]
    words += ["absolute values"] if array.dtype.kind == "c" else []
    words += ["a sample"] if values.size < int(np.prod(array.shape[-flat:])) else []
    return Plane(values, list(_boxes(array, lead, flat)), ", ".join(words), array.shape[-flat:])


def _boxes(array, lead, flat):
    for rank, part in enumerate(array.parts):
        if not part["count"]:
            continue
        if not array.is_global:
            yield rank, (int(part["first"]),), (int(part["first"] + part["count"]),)
            continue
        begin, end = part["offset"].astype(np.int64), (part["offset"] + part["shape"]).astype(np.int64)
        if all(b <= at < e for b, at, e in zip(begin, lead, end)):
            yield rank, tuple(begin[-flat:].tolist()), tuple(end[-flat:].tolist())


def _bar(drawing, x, y, height, low, high, colours):
    ramp = np.linspace(1, 0, 64)[:, None]
    drawing.add(tag("image", x=x, y=y, width=12, height=height, href=png(ramp, 0.0, 1.0, colours), preserveAspectRatio="none"))
    drawing.text(x + 17, y + 9, value(high), "tick")
    drawing.text(x + 17, y + height, value(low), "tick")


def _image(what, low, high, colours, label):
    rows, columns = what.axes
    scale = 300 / max(rows, columns)
    width, height = max(columns * scale, 24.0), max(rows * scale, 24.0)
    drawing = Drawing(width + 112, max(height, 40.0) + 26, label)
    drawing.add(tag("image", x=2, y=4, width=width, height=height, href=png(what.values, low, high, colours), preserveAspectRatio="none",
                    class_="field"))
    borders = "".join(f"M{2 + b[1] * width / columns:.1f} {4 + b[0] * height / rows:.1f}H{2 + e[1] * width / columns:.1f}"
                      f"V{4 + e[0] * height / rows:.1f}H{2 + b[1] * width / columns:.1f}Z" for _, b, e in what.boxes)
    drawing.add(path(borders, "border-under"), path(borders, "border"))
    for rank, begin, end in what.boxes:
        if (end[1] - begin[1]) * width / columns >= 22 and (end[0] - begin[0]) * height / rows >= 14:
            drawing.text(6 + begin[1] * width / columns, 16 + begin[0] * height / rows, rank, "border-label")
    _bar(drawing, width + 12, 4, max(height, 40.0), low, high, colours)
    drawing.text(2, max(height, 40.0) + 20, f"{rows} x {columns}" + (", ranks by number" if len(what.boxes) > 1 else ""), "tick")
    return drawing


def _envelope(values, columns=360):
    """The least and the greatest value in each of so many columns."""
    edges = np.linspace(0, len(values), min(columns, len(values)) + 1).astype(np.int64)
    return np.minimum.reduceat(values, edges[:-1]), np.maximum.reduceat(values, edges[:-1])


def _line(what, low, high, label):
    drawing = Drawing(420, 190, label)
    left, right, top, bottom = 66, 410, 10, 160
    y = lambda v: bottom - (bottom - top) * ((v - low) / (high - low) if high > low else 0.5)
    for tick in ticks(low, high, 4):
        drawing.line(left, y(tick), right, y(tick), "grid")
        drawing.text(left - 5, y(tick) + 4, f"{tick:.4g}", "tick", "end")
    least, most = _envelope(np.where(np.isfinite(what.values), what.values, low))
    x = left + (right - left) * (np.arange(len(least)) + 0.5) / len(least)
    for _, begin, end in what.boxes if len(what.boxes) <= 64 else ():
        drawing.line(left + (right - left) * begin[0] / what.axes[0], top, left + (right - left) * begin[0] / what.axes[0], bottom, "rank-border")
    upper = [f"{px:.1f} {y(v):.1f}" for px, v in zip(x, most)]
    lower = [f"{px:.1f} {y(v):.1f}" for px, v in zip(x[::-1], least[::-1])]
    drawing.add(path("M" + "L".join(upper + lower) + "Z", "band"))
    drawing.text(left, bottom + 20, f"0 to {what.axes[0] - 1}" + (f", borders of {len(what.boxes)} ranks" if 1 < len(what.boxes) <= 64 else ""),
                 "tick")
    return drawing


def picture(name, what, colours=COLOURS, symmetric=False, words=""):
    """A figure of a Plane: 1-D as a line, 2-D as an image. symmetric: around zero."""
    finite = what.values[np.isfinite(what.values)]
    if not finite.size:
        return tag("p", f"{name}: no element is a finite number.")
    low, high = float(finite.min()), float(finite.max())
    if symmetric:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    text = short(name, 255) + (f", {what.text}" if what.text else "") + (f", {words}" if words else "")
    label = f"{text}: from {value(low)} to {value(high)}"
    drawing = _line(what, low, high, label) if len(what.axes) == 1 else _image(what, low, high, colours, label)
    return tag("figure", drawing.html(), tag("figcaption", text))


def _describe(array):
    """Least, greatest and mean of an array, or of a sample of it."""
    if array.dtype.names == ("state", "source", "tag", "comm", "order", "count", "offset", "type", "array"):
        states, counts = np.unique(array[:100_000]["state"], return_counts=True)
        return ", ".join(f"{n} {s.decode(errors='replace')}" for s, n in zip(states, counts)), "", ""
    values = _real(_sample(array)) if array.dtype.kind in "biufc" and array.size else None
    if values is None:
        return "", "", ""
    finite = values[np.isfinite(values)]
    strange = values.size - finite.size
    if not finite.size:
        return "not finite", "", ""
    exact = int if array.dtype.kind in "biu" and finite.max() < 2**53 else float
    texts = [value(exact(finite.min())), value(exact(finite.max())), value(float(finite.mean()))]
    texts[0] += f" ({strange} not finite)" if strange else ""
    return tuple(texts)


def _sample(array):
    if array.nbytes <= WHOLE:
        return array[...]
    if array.ndim == 1:
        return _thinned(array, (), PIXELS)
    return _thinned(array, tuple(n // 2 for n in array.shape[:-2]), PIXELS)


def _type_name(array):
    if array.dtype.names:
        return "requests" if array.dtype.names[0] == "state" else "compound"
    return "bytes" if array.dtype.kind == "V" else str(array.dtype)


def overview(snapshot):
    """A table of the arrays."""
    rows = []
    for name in list(snapshot)[:ROWS]:
        array = snapshot[name]
        present = np.flatnonzero(array.parts["present"])
        who = "all" if len(present) == snapshot.size else rank_list(present.tolist())
        sampled = array.nbytes > WHOLE and array.dtype.kind in "biufc"
        rows.append([short(name, 255), _type_name(array), " x ".join(map(str, array.shape)), "global" if array.is_global else "by rank", size(array.nbytes), who,
                     *_describe(array), "a sample" if sampled else "all"])
    left_out = f", the first {ROWS}" if len(snapshot) > ROWS else ""
    return table(["name", "type", "shape", "order", "size", "ranks", "least", "greatest", "mean", "read"], rows,
                 f"{several(len(snapshot), 'protected array')}{left_out}; complex numbers by their absolute value")


def _uniform(what):
    return bool((what.values == what.values.flat[0]).all())


def chosen(snapshot):
    """The names of the arrays that get a picture: those of many dimensions, and large ones, first. And how many others could."""
    drawable = [name for name in snapshot if snapshot[name].size > 1 and snapshot[name].dtype.kind in "biufc"]
    best = sorted(drawable, key=lambda name: (-min(snapshot[name].ndim, 3), -snapshot[name].size, name))
    return best[:PICTURES], max(len(best) - PICTURES, 0)


def draw(snapshot, pixels):
    """The table of arrays and their pictures, of so many pixels along an axis."""
    names, others = chosen(snapshot)
    planes = {name: plane(snapshot[name], pixels) for name in names}
    figures = [picture(name, what) for name, what in planes.items() if not _uniform(what)]
    note = [f"Not drawn, since all elements are the same: {short(', '.join(n for n in names if _uniform(planes[n])))}."] if len(figures) < len(names) else []
    note = " ".join(note + [f"{several(others, 'more array')} without a picture."] * bool(others))
    return [overview(snapshot), tag("div", figures, class_="pictures"), tag("p", note, class_="note") if note else None]
