# SPDX-License-Identifier: BSD-3-Clause
"""Numbers as people read them; bytes and times as the command `wavecut` writes them."""
import math


def size(value):
    """Bytes: "512 B", "1.04 MiB"."""
    value = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} B" if unit == "B" else f"{_three(value)} {unit}"
        value /= 1024


def seconds(value):
    """A time in seconds: "18 µs", "1.2 ms", "4.5 s", "12 min", "3.2 h", "5.1 d"; "?" for what is no time."""
    if not math.isfinite(value):
        return "?"
    sign, value = "-" if value < 0 else "", abs(value)
    for limit, factor, unit in ((0.9995e-3, 1e6, "µs"), (0.9995, 1e3, "ms"), (120, 1, "s"), (7200, 1 / 60, "min"), (172800, 1 / 3600, "h")):
        if value < limit:
            return f"{sign}{_three(value * factor)} {unit}"
    return f"{sign}{_three(value / 86400)} d"


def _three(value):
    """Three digits, or what stands before the point."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}".rstrip("0").rstrip(".")


def value(number):
    """An element of an array."""
    if isinstance(number, float) or getattr(number, "dtype", None) is not None and number.dtype.kind == "f":
        return f"{float(number):.6g}"
    return str(number)


def several(count, noun):
    """ "1 message", "2 messages"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def ranks(numbers):
    """Ranks in short: "0-3, 7"."""
    runs = []
    for rank in numbers:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:8]]
    return ", ".join(texts) + (", ..." if len(runs) > 8 else "") or "none"


def short(text, limit=200):
    """A text that may be of any length."""
    return text if len(text) <= limit else text[:limit] + "\u2026"
