# SPDX-License-Identifier: BSD-3-Clause
"""What changed from one snapshot to the next."""
import numpy as np

from .fields import CHANGE_COLOURS, ROWS, WHOLE, chosen, picture, plane
from .markup import table, tag
from .units import several, short, value


def _by_blocks(old, new):
    """Of large arrays: how many blocks of 64 KiB have other hashes. Nothing is read for it but the hashes."""
    before, after = old.blocks, new.blocks
    if before.shape != after.shape:
        return "", "", "other blocks"
    changed = int((before != after).sum())
    return f"{changed} of {len(after)} blocks of 64 KiB", "", ""


def _bytes_of(values):
    return np.ascontiguousarray(values).view(np.uint8).reshape(values.size, -1)


def _by_elements(old, new):
    before, after = old[...], new[...]
    if not after.size:
        return "nothing to change", "", ""
    changed = (_bytes_of(before) != _bytes_of(after)).any(axis=1)
    text = f"{int(changed.sum())} of {after.size}" if changed.any() else "nothing"
    if after.dtype.kind not in "biufc" or not changed.any():
        return text, "", ""
    with np.errstate(all="ignore"):
        before, after = (v.astype(np.complex128 if v.dtype.kind == "c" else np.float64) for v in (before, after))
        difference = np.abs(after - before)
    known = difference[np.isfinite(difference)]
    return text, value(float(known.max())) if known.size else "", value(float(known.mean())) if known.size else ""


def _row(old, new, name):
    if name not in old or name not in new:
        return [short(name, 255), "new" if name in new else "gone", "", ""]
    before, after = old[name], new[name]
    if before.dtype != after.dtype:
        return [short(name, 255), "another type", "", ""]
    if before.shape != after.shape:
        return [short(name, 255), f"{' x '.join(map(str, before.shape))} elements became {' x '.join(map(str, after.shape))}", "", ""]
    return [short(name, 255), *(_by_blocks(before, after) if after.nbytes > WHOLE else _by_elements(before, after))]


def _traffic(old, new):
    """A sentence on the messages between the two; the counters begin anew with a run."""
    if old.size != new.size:
        return f"The number of ranks was {old.size}."
    sums = [(int(s.channels["sent"].astype(np.uint64).sum()), int(s.channels["in_flight"].astype(np.uint64).sum())) for s in (old, new)]
    steps = new.ranks["step"].astype(np.int64) - old.ranks["step"].astype(np.int64)
    text = f"In flight: {sums[0][1]}, then {sums[1][1]}. "
    if sums[1][0] >= sums[0][0]:
        text += f"Sent in between: {several(sums[1][0] - sums[0][0], 'message')}. "
    if (steps >= 0).all():
        text += f"Safe points passed in between: {steps.min()}" + (f" to {steps.max()}" if steps.max() > steps.min() else "") + " on each rank."
    return text


def _picture(old, new, name, pixels):
    """A picture of new - old, for what has the same shape and fits."""
    if name not in old or old[name].shape != new[name].shape or old[name].dtype != new[name].dtype or new[name].nbytes > WHOLE:
        return None
    before, after = plane(old[name], pixels), plane(new[name], pixels)
    with np.errstate(all="ignore"):
        change = after._replace(values=after.values - before.values)
    if (change.values == change.values.flat[0]).all():
        return None
    return picture(f"change of {name}", change, CHANGE_COLOURS, symmetric=True)


def draw(old, new, pixels):
    """The table, the traffic, and pictures of the change in the arrays that have pictures, of so many pixels along an axis."""
    rows = [_row(old, new, name) for name in sorted(set(old) | set(new))[:ROWS]]
    figures = [_picture(old, new, name, pixels) for name in chosen(new)[0]]
    return [tag("p", _traffic(old, new)), table(["array", "changed", "greatest change", "mean change"], rows,
                                                f"From snapshot {old.id} to {new.id}"),
            tag("div", figures, class_="pictures")]
