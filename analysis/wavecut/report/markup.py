# SPDX-License-Identifier: BSD-3-Clause
"""Elements of HTML and SVG. What is no Markup is escaped: no string of a file gets into the page as anything but text."""
import html
import re

_EMPTY = {"meta", "circle", "image", "line", "path", "polygon", "polyline", "rect"}  # elements without content, written <.../>
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Markup(str):
    """Text of the page that is right as it is."""


def number(value):
    """A coordinate: two decimals are a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def visible(text):
    """Text in which controls, and what turns the direction of writing, are replacement characters."""
    return _INVISIBLE.sub("\ufffd", text)


def escaped(value):
    """A value as text of the page."""
    return value if isinstance(value, Markup) else Markup(html.escape(visible(str(value))))


def _flat(children):
    for child in children:
        if isinstance(child, (list, tuple)):
            yield from _flat(child)
        elif child is not None:
            yield escaped(child)


def tag(_name, *children, **attributes):
    """An element. Children are elements, text, or lists of them; attributes that are None are left out, class_ is class, a_b is a-b."""
    parts = [_name]
    for key, value in attributes.items():
        if value is not None:
            value = number(float(value)) if hasattr(value, "dtype") else number(value)
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{escaped(value)}"')
    start = " ".join(parts)
    return Markup(f"<{start}/>" if _name in _EMPTY else f"<{start}>{''.join(_flat(children))}</{_name}>")


def table(head, rows, caption, class_=None):
    """A table that may be larger than a screen: it scrolls by itself. A cell is text or (text, class)."""
    def cell(kind, value):
        value, style = value if isinstance(value, tuple) else (value, None)
        return tag(kind, value, class_=style, scope="col" if kind == "th" else None)
    body = [tag("tr", [cell("td", value) for value in row]) for row in rows]
    return scroll(caption, tag("table", tag("caption", caption), tag("thead", tag("tr", [cell("th", h) for h in head])),
                               tag("tbody", body), class_=class_), "scroll long" if len(rows) > 12 else "scroll")


def scroll(label, content, class_="scroll"):
    """What is larger than a screen and scrolls by itself; reached by keyboard as well."""
    return tag("div", content, class_=class_, role="region", tabindex=0, aria_label=label)
