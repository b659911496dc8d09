# SPDX-License-Identifier: BSD-3-Clause
"""Drawings. Colours come from the classes of style.css, which knows light and dark."""
import math

from .markup import number, scroll, tag


NARROW = 300  # pixels that any screen has


class Drawing:
    """An SVG of a given size in its own units. It fills the page's width, but gets no narrower than `least` pixels: below that it
    scrolls. `label` is what a screen reader says of it."""

    def __init__(self, width, height, label, least=0):
        self.width, self.height, self.label, self.least, self._parts = width, height, label, least, []

    def add(self, *elements):
        self._parts.extend(elements)

    def text(self, x, y, content, class_=None, anchor=None, title=None):
        self.add(tag("text", content, tag("title", title) if title else None, x=x, y=y, class_=class_,
                     text_anchor=anchor))

    def line(self, x1, y1, x2, y2, class_, title=None):
        self.add(path(segment(x1, y1, x2, y2), class_, title))

    def rect(self, x, y, width, height, class_, title=None):
        self.add(_titled(tag("rect", x=x, y=y, width=max(width, 0.0), height=height, class_=class_), title))

    def html(self):
        style = f"min-width:{self.least}px;max-width:{number(float(self.width))}px" if self.least > NARROW else f"width:{number(float(self.width))}px"
        drawing = tag("svg", self._parts, viewBox=f"0 0 {number(float(self.width))} {number(float(self.height))}", role="img",
                      aria_label=self.label, style=style)
        return scroll(self.label, drawing) if self.least > NARROW else drawing


def _titled(element, title):
    """With the text that shows when the pointer rests on it."""
    return tag("g", tag("title", title), element) if title else element


def path(d, class_, title=None):
    return _titled(tag("path", d=d, class_=class_), title)


def segment(x1, y1, x2, y2):
    return f"M{number(float(x1))} {number(float(y1))}L{number(float(x2))} {number(float(y2))}"


def head(x, y, angle, size=6.0):
    """The head of an arrow that ends at a point, as the data of a path."""
    a, b = ((x - size * math.cos(angle + turn), y - size * math.sin(angle + turn)) for turn in (0.4, -0.4))
    return f"M{number(a[0])} {number(a[1])}L{number(float(x))} {number(float(y))}L{number(b[0])} {number(b[1])}"


def ticks(low, high, count=5):
    """Round numbers that lie in a range."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    step = 10.0 ** math.floor(math.log10(span / count))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, first + count + 2) if i * step <= high + step * 1e-9]


def legend(*entries):
    """What the marks of a drawing mean: pairs of a class and a text."""
    return tag("ul", [tag("li", tag("svg", tag("path", d="M1 7h24", class_=class_), viewBox="0 0 26 14", width=26, height=14,
                                    aria_hidden="true"), " ", text) for class_, text in entries], class_="legend")
