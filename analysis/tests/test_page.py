# SPDX-License-Identifier: BSD-3-Clause
"""The page as text: what it says, that nothing gets out of a file into its markup, and that its size is bounded."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import make
import wavecut
from conftest import field, write_run
from wavecut import trailer
from wavecut.report import overview
from wavecut.report.command import main
from wavecut.report.markup import Markup, tag
from wavecut.report.phases import blame, times
from wavecut.report.units import ranks, seconds, size

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EMPTY = {"meta", "circle", "image", "line", "path", "polygon", "polyline", "rect"}


class Page(HTMLParser):
    """Elements with their attributes, and the text; fails on tags that don't match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._open = [], "", []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in EMPTY:
            self._open.append(name)

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        assert name in EMPTY, name

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, data):
        self.words += data if self._open and self._open[-1] != "style" else ""


def page_of(path, tmp_path, expected=0):
    to = tmp_path / "page.html"
    assert main([str(path), "-o", str(to)]) == expected
    return Page(to.read_text())


def keeps_to_itself(page):
    """No script, nothing from elsewhere, each picture has a text."""
    ids = {a["id"] for _, a in page.elements if "id" in a}
    for name, attributes in page.elements:
        assert name not in ("script", "iframe", "link", "object", "embed", "base", "form", "foreignobject", "a") or name == "a" and "href" in attributes
        assert not any(key.startswith("on") or key in ("src", "action", "xlink:href", "formaction", "srcdoc") for key in attributes), attributes
        if "href" in attributes:
            assert attributes["href"].startswith("data:image/png;base64,") or attributes["href"][1:] in ids, attributes
        if name == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden"), attributes
    policy, = [a["content"] for name, a in page.elements if name == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_a_run(run, tmp_path):
    page = page_of(run, tmp_path)
    keeps_to_itself(page)
    for words in ("4 snapshots", "./program --fast", "interval", "60.0 s", "Consistent", "4 messages in flight", "What changed since snapshot 3",
                  "ocean/particles", "1-3", "480 of 480", "Who delayed it", "The cut was delayed most by rank 0, by its write", "mean time between failures"):
        assert words in page.words, words
    assert "can't be shown" not in page.words and sum(name == "details" for name, _ in page.elements) == 4


def test_failures_of_the_past(tmp_path):
    write_run(tmp_path / "ckpt", count=2)
    (tmp_path / "ckpt/history").write_text("start 2026-11-26T10:00:00Z\nlost 2026-11-26T12:00:00Z\n")
    page = page_of(tmp_path / "ckpt", tmp_path)
    assert "2 h: 1 failure of this job in 2 h2.68 s2.68 s" in page.words  # the root of 2 x 0.5 ms x 7200 s


def test_the_scenario_of_the_notes(notes, tmp_path):
    page = page_of(notes, tmp_path)
    keeps_to_itself(page)
    for words in ("(1) Before the snapshot.", "(2) p1 records its state and sends a marker to p2.", "(5) ", "m3, m5", "crosses the cut"):
        assert words in page.words, words
    assert "(6)" not in page.words
    kinds = [a["class"] for name, a in page.elements if name == "path" and a.get("class", "").startswith("message")]
    assert [kinds.count(f"message {kind}") for kind in ("crossing", "before", "after", "marker")] == [3 + 1, 2 + 1, 2 + 1, 5 + 1]  # and the legend


def test_hostile_text(tmp_path):
    evil = "<script>alert(1)</script>\"'><img src=http://evil.example/ onerror=alert(1)>\x1b[31m\u202e&amp;"
    name = "x<svg onload=alert(1)>\"'&"
    directory = tmp_path / "<b>&ckpt"
    write_run(directory, count=2, program=evil, host=evil[:40], cut="<i>", state={name: [np.arange(9.0)] * 4, "<u>": [np.array([1])] * 4})
    (directory / "wavecut-000003.h5").write_text("<script>")
    page = page_of(directory, tmp_path, expected=1)
    keeps_to_itself(page)
    assert "<script>alert(1)</script>" in page.words and name in page.words and "<b>&ckpt" in page.words
    assert "\x1b" not in page.words and "\u202e" not in page.words
    assert not {name for name, _ in page.elements} & {"script", "img", "i", "b2", "u"}


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0, 2**64 - 1, 2**63))
def test_hostile_numbers(tmp_path, value):
    """Any number in any table: the page comes, whatever it says."""
    def put(rows, names):
        for name in names:
            kind = rows.dtype[name].base
            if kind.kind == "f":
                rows[name] = value
            elif np.isfinite(value):
                rows[name] = int(abs(value)) & 2 ** (8 * kind.itemsize - (kind.kind == "i")) - 1

    def change(file):
        for path, names in (("ranks", ("step", "bytes", "record_time", "arm_s", "record_s", "close_s", "durable_s", "stall_s")),
                            ("channels/counters", ("comm", "sent", "received", "in_flight")), ("channels/messages", ("comm", "tag", "bytes", "offset")),
                            ("index/u", ("first", "count", "offset", "shape")), ("index/p", ("first", "count")), ("communicators", ("members_first",)),
                            ("trace/events", ("kind", "tag", "comm", "sequence", "bytes", "time")), ("trace/streams", ("count",))):
            if id == 2 or path in ("ranks", which):
                rows = file[path][...]
                put(rows, names)
                file[path][...] = rows
        file.attrs.modify("time", np.float64(value))
    contents = make.notes().contents()
    for id, which in ((1, "trace/events"), (2, ""), (3, "index/u"), (4, "index/p"), (5, "channels/messages")):
        make.write(tmp_path / f"wavecut-{id:06d}.h5", **contents, id=id, change=change, state={"u": make.rows(field(id), 3), "p": [np.arange(4.0)] * 3})
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "-o", str(page)]) in (0, 1)
    Page(page.read_text())


def test_long_text(tmp_path):
    name = "n" * 250
    make.write(tmp_path / "wavecut-000001.h5", program="p" * 100_000, state={f"{name}{i}": [np.arange(3)] * 3 for i in range(300)})
    page = page_of(tmp_path, tmp_path)
    assert "300 protected arrays, the first 200" in page.words and "294 more arrays without a picture" in page.words
    assert os.path.getsize(tmp_path / "page.html") < 400_000


def test_markup_escapes_all_but_markup():
    assert tag("p", "<b>", Markup("<b></b>"), class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;<b></b></p>'
    assert tag("path", d="M0 0", fill=None) == '<path d="M0 0"/>'


def test_one_snapshot_without_arrays(tmp_path):
    make.write(tmp_path / "wavecut-000001.h5", ranks=1, state={})
    page = page_of(tmp_path, tmp_path)
    assert "0 protected arrays" in page.words and "No channel was used." in page.words and "What changed" not in page.words


def write_kinds(path, id):
    """Arrays of all kinds and shapes; ranks that protect different ones."""
    rng = np.random.default_rng(id)
    box = [((0, 0, 0), (4, 6, 8)), None, ((4, 0, 0), (4, 6, 8))]
    strange = rng.normal(size=(6, 7))
    strange[0, :3] = np.nan, np.inf, -np.inf
    requests = np.zeros(2, [("state", "S8"), ("source", "<i4"), ("tag", "<i4"), ("comm", "<u8"), ("order", "<u8"), ("count", "<u8"), ("offset", "<i8"),
                            ("type", "S128"), ("array", "S256")])
    requests["state"] = b"receive", b"none"
    state = {"cube": make.Global(rng.normal(size=(8, 6, 8)), box), "four": make.rows(rng.normal(size=(3, 2, 3, 4)), 3),
             "complex": [np.exp(1j * np.arange(5.0 + id))] * 3, "flags": [np.array([True, False])] * 3, "bytes": [np.zeros(6, "V1")] * 3,
             "strange": make.rows(strange, 3), "nan": [np.full(3, np.nan)] * 3, "only-0": [np.arange(id + 2)] + [None] * 2, "empty": [np.zeros(0)] * 3,
             "requests": [requests] * 3, "long": [np.arange(3, dtype=np.longdouble)] * 3, "counts": [np.array([2**63 + id], np.uint64)] * 3}
    make.write(path, ranks=3, state=state, id=id, time=make.NOW + id)


def test_arrays_of_all_kinds(tmp_path):
    for id in (1, 2):
        write_kinds(tmp_path / f"wavecut-{id:06d}.h5", id)
    make.write(tmp_path / "wavecut-000003.h5", ranks=2, id=3, time=make.NOW + 3, state={"cube": [np.arange(3)] * 2, "new": [np.arange(3)] * 2})
    page = page_of(tmp_path, tmp_path)
    keeps_to_itself(page)
    assert "can't be shown" not in page.words
    for words in ("12 protected arrays", "0, 2", "3 receive", "not finite", "the slice [4] of 8x6x8", "absolute values", "18 elements became 21",
                  "another type", "gone", "new", "The number of ranks was 3."):
        assert words in page.words, words


def test_many_snapshots(tmp_path):
    """Details of some, said so on the page; those of inconsistent ones always."""
    write_run(tmp_path / "many", count=30)
    make.write(tmp_path / "many/wavecut-000002.h5", id=2, time=make.NOW + 120, counters=[(1, 0, 1, 0, 1, 0)])
    page = page_of(tmp_path / "many", tmp_path, expected=1)
    assert "Details are shown for 20 snapshots of 30" in page.words
    ids = [a["id"] for name, a in page.elements if name == "details"]
    assert ids == [f"snapshot-{n}" for n in list(range(30, 11, -1)) + [2]]
    assert os.path.getsize(tmp_path / "page.html") < 5_000_000


def write_noise(directory, arrays):
    """20 snapshots with arrays that no compression makes smaller."""
    noise = np.random.default_rng(1).normal(size=(arrays, 256, 256))
    for id in range(1, 21):
        state = {f"noise{i}": make.rows(noise[i] * id + i, 4) for i in range(arrays)}
        make.write(directory / f"wavecut-{id:06d}.h5", ranks=4, id=id, time=make.NOW + id, state=state)


def test_twenty_snapshots(tmp_path):
    write_noise(tmp_path, 2)
    page = page_of(tmp_path, tmp_path)
    assert sum(name == "details" for name, _ in page.elements) == 20 and os.path.getsize(tmp_path / "page.html") < 5_000_000


def test_large_details_are_left_out(tmp_path):
    write_noise(tmp_path, 6)
    page = page_of(tmp_path, tmp_path)
    assert "snapshots of 20: the newest" in page.words
    assert 3_500_000 < os.path.getsize(tmp_path / "page.html") < 5_000_000


@pytest.mark.parametrize("count", (64, 200))
def test_many_ranks(tmp_path, count):
    counters = [(1, r, d, 9, 7, 2) for r in range(count) for d in range(count) if r != d and (d - r) % 5 == 1]
    messages = [(1, c[1], c[2], 3, b"x" * 9) for c in counters for _ in range(2)]
    make.write(tmp_path / "wavecut-000001.h5", ranks=count, counters=counters, messages=messages, state={"u": make.rows(field(1, (count, 30)), count)})
    page = page_of(tmp_path, tmp_path)
    assert "can't be shown" not in page.words and "the 200 fullest of" in page.words and "out, " in page.words
    assert ("200 ranks are drawn in 29 groups" in page.words) == (count == 200)
    assert os.path.getsize(tmp_path / "page.html") < 600_000


@pytest.mark.parametrize("rank, phases, words", (
    (2, (0.001, 0.002, 0.010, 0.90, 0.0), "most by rank 2, by its write"), (1, (0.001, 0.700, 0.705, 0.71, 0.0), "most by rank 1, by its record"),
    (0, (0.001, 0.002, 0.600, 0.61, 0.0), "most by rank 0, by its close"), (3, (0.800, 0.801, 0.802, 0.81, 0.0), "most by rank 3, by its arm"),
    (None, None, "most by rank 1, which heard of the request 500 ms after the first")))
def test_who_delayed_it(tmp_path, rank, phases, words):
    def late(file):  # rank 1 hears, arms and records half a second after the others
        table = file["ranks"][...]
        table["record_time"][1] += 0.5
        file["ranks"][...] = table
    usual = (0.001, 0.002, 0.004, 0.01, 0.0)
    table = [phases if r == rank else usual for r in range(4)]
    with wavecut.open(make.write(tmp_path / "wavecut-000001.h5", ranks=4, phases=table, change=None if phases else late)) as snapshot:
        ranks = snapshot.ranks
        ranks["record_time"] = ranks["record_time"] if not phases else make.NOW + ranks["record_s"]
        assert words in blame(times(ranks))
    assert "until all parts were on the disk" in page_of(tmp_path, tmp_path).words


def test_young_and_daly():
    assert overview.young(2.0, 3600) == 120
    assert overview.daly(2.0, 3600) == pytest.approx(120 * (1 + (1 / 3600) ** 0.5 / 3 + 1 / 32400) - 2)
    assert overview.daly(100, 50) == 50  # the method can't keep up


def test_units():
    assert [seconds(s) for s in (0.0, 1.8e-5, 0.0999, 0.9999, 4.5, 600, 86400, float("nan"))] == [
        "0 µs", "18.0 µs", "99.9 ms", "1 s", "4.5 s", "10.0 min", "24.0 h", "?"]
    assert [size(n) for n in (0, 1023, 1.04 * 2**20, 10 * 2**30)] == ["0 B", "1023 B", "1.04 MiB", "10.0 GiB"]
    assert ranks([0, 1, 2, 3, 7]) == "0-3, 7" and ranks([]) == "none" and ranks(range(0, 40, 2)).endswith(", 14, ...")


def test_contrast():
    """Of text 4.5 : 1, of lines and areas 3 : 1 (WCAG 2.1, 1.4.3 and 1.4.11), in light and in dark."""
    with open(f"{ROOT}/wavecut/report/style.css") as file:
        style = file.read()
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in style.split("@media (prefers-color-scheme: dark)"))

    def luminance(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for w, p in zip((0.2126, 0.7152, 0.0722), parts))

    def contrast(one, other):
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)
    for colours in (light, dark):
        for name in ("text", "muted", "link", "good", "bad", "crossing", "cut"):
            assert contrast(colours[name], colours["back"]) >= 4.5, name
        for text, back in (("text", "panel"), ("muted", "panel"), ("bad", "bad-back"), ("on-light", "shade1"), ("on-light", "shade2"), ("on-light", "shade3"),
                           ("on-dark", "shade4"), ("on-dark", "shade5"), ("on-dark", "shade6"), ("back", "cut")):
            assert contrast(colours[text], colours[back]) >= (4.5 if text != "on-dark" else 3), (text, back)
        for name in ("plain", "marker", "arm", "record", "close", "write"):
            assert contrast(colours[name], colours["back"]) >= 3, name


def test_without_the_library_of_xxhash(run, tmp_path, monkeypatch):
    monkeypatch.setattr(trailer, "can_hash", False)
    assert "Consistent" in page_of(run, tmp_path).words


def test_version():
    with open(f"{ROOT}/../include/wavecut.h") as file:
        version = ".".join(re.findall(r"#define WAVECUT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", file.read()))
    with open(f"{ROOT}/pyproject.toml") as file:
        assert f'version = "{version}"' in file.read()


def test_installed_by_pip(run, tmp_path):
    if not os.environ.get("TESTS_FULL"):
        pytest.skip("only with TESTS_FULL=1")
    if not all(map(importlib.util.find_spec, ("pip", "wheel", "setuptools"))):
        pytest.skip("no pip, setuptools and wheel here")
    shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", tmp_path / "to",
                    tmp_path / "source"], check=True, capture_output=True, timeout=120)
    result = subprocess.run([tmp_path / "to/bin/wavecut-report", run, "-o", tmp_path / "page.html"], text=True, capture_output=True,
                            env={**os.environ, "PYTHONPATH": str(tmp_path / "to")}, cwd=tmp_path, timeout=60)
    assert result.returncode == 0 and "4 snapshots" in result.stdout, result.stderr
