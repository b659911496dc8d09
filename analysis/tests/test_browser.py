# SPDX-License-Identifier: BSD-3-Clause
"""The page in headless Chromium: on a phone and on a desk, in light and in dark. TESTS_PICTURES=DIRECTORY keeps the screenshots."""
import os

import matplotlib.image
import numpy as np
import pytest

import browser
import make
from conftest import write_run
from wavecut.report.command import main

WIDTHS = (360, 1200)

# What of the page is wider than the window, but for what scrolls by itself; HTML text that is cut off; SVG text outside of its drawing.
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
CUT_OFF = """[...document.querySelectorAll("p, h1, h2, h3, li, figcaption, summary, td, th, caption")].filter(e => e.offsetParent && (
    e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX != "visible" ||
    !e.closest(".scroll") && (e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5))).map(e => e.textContent)"""
OUTSIDE = """[...document.querySelectorAll("svg text")].filter(t => { const a = t.getBoundingClientRect(), b = t.closest("svg").getBoundingClientRect();
    return b.width && (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1) }).map(t => t.textContent)"""
SMALL = """[...document.querySelectorAll("svg text")].filter(t => { const b = t.getBoundingClientRect(); return b.height && b.height < 8.5 }
    ).map(t => t.textContent)"""


@pytest.fixture(scope="module")
def chromium():
    if not browser.find():
        pytest.skip("there is no chromium here")
    one = browser.Browser()
    yield one
    one.close()


@pytest.fixture(scope="module")
def pages(run, notes, tmp_path_factory):
    """Pages by name: a run, the scenario of the notes, an inconsistent snapshot, many ranks, hostile text."""
    directory = tmp_path_factory.mktemp("pages")
    wrong = make.write(directory / "wrong.h5", counters=[(1, 0, 1, 4, 5, 0), (1, 1, 2, 3, 3, 0)])
    counters = [(1, r, d, 9, 7, 2) for r in range(64) for d in range(64) if (d - r) % 7 == 1]
    many = make.write(directory / "many.h5", ranks=64, counters=counters, messages=[(1, c[1], c[2], 3, b"x") for c in counters for _ in range(2)])
    long = write_run(directory / ("w" * 120), count=2, program="x" * 300 + "<script>document.title = 'run'</script>", host="h" * 60)
    sources = {"run": run, "notes": notes, "wrong": wrong, "many": many, "long": long}
    for name, source in sources.items():
        assert main([str(source), "-o", str(directory / f"{name}.html")]) == (name == "wrong")
    return {name: directory / f"{name}.html" for name in sources}


def show(chromium, path, width, scheme):
    """Opens a page with all its details, and checks that it asked for nothing and complained of nothing."""
    chromium.open(path, width, scheme)
    chromium.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    asked = [e["request"]["url"] for method, e in chromium.events if method == "Network.requestWillBeSent"]
    assert asked[0].startswith("file://") and all(url.startswith("data:image/png;base64,") for url in asked[1:])
    told = [e for method, e in chromium.events if method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    assert told == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ("run", "notes", "wrong", "many", "long"))
def test_layout(chromium, pages, name, width):
    show(chromium, pages[name], width, "light")
    assert chromium.evaluate(OVERFLOW) <= 0
    for what in (CUT_OFF, OUTSIDE, SMALL):
        assert chromium.evaluate(what) == [], what
    assert chromium.evaluate("document.title").startswith("Wavecut: ")


def pixels(chromium, path, width, scheme, name):
    chromium.open(path, width, scheme)
    to = os.path.join(os.environ.get("TESTS_PICTURES", os.path.dirname(path)), f"{name}-{width}-{scheme}.png")
    chromium.screenshot(to, 12000 if "TESTS_PICTURES" in os.environ else 2500)
    return (matplotlib.image.imread(to)[..., :3] * 255 + 0.5).astype(np.int16)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ("run", "notes", "wrong"))
def test_light_and_dark(chromium, pages, name, width):
    """Both have the colours of style.css, and the diagram is there: the cut line and the crossing messages, or red."""
    for scheme, back, cut, crossing, bad in (("light", (255, 255, 255), (5, 80, 174), (188, 76, 0), (255, 235, 233)),
                                             ("dark", (13, 17, 23), (121, 184, 255), (240, 136, 62), (61, 20, 23))):
        picture = pixels(chromium, pages[name], width, scheme, name)
        share = lambda colour: float((np.abs(picture - colour).max(axis=2) <= 3).mean())
        assert share(back) > 0.4
        for colour in (cut, bad if name == "wrong" else crossing):
            assert share(colour) > 2e-5, (scheme, colour)
