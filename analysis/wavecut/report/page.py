# SPDX-License-Identifier: BSD-3-Clause
"""The page: one HTML file with all that it needs in it, of a bounded size."""
import os
from datetime import datetime, timezone
from importlib import resources

from ..directory import Directory
from ..errors import Error, NotFound
from ..snapshot import Snapshot
from ..trace import Trace
from . import changes, fields, matrix, overview, phases, spacetime, steps
from .markup import Markup, table, tag
from .units import several, short, size

DETAILS = 20  # snapshots that are shown in detail
BYTES = 4_500_000  # what the page may take; further details are left out
WITNESSES = 20  # of one snapshot that are listed
CLOCKS = 8  # ranks up to which vector clocks are shown
CLOCK_EVENTS = 20_000  # of a trace, likewise
# The browser itself keeps the page from the network and from running anything, whatever is in a file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Source:
    """The snapshots that a page is about: those of a directory, or one file."""

    def __init__(self, path):
        """Raises an Error if there is nothing to show."""
        self.path = os.fspath(path)
        self._directory = Directory(path) if os.path.isdir(path) else None
        self.finished = self._directory.finished if self._directory else None
        self.history = self._directory.history if self._directory else (0.0, 0)
        if self._directory is None:
            self.summaries = [overview.summarize(self.path)]
            return
        self.summaries = [self._read(number, self._directory.file(number)) for number in self._directory]
        if not self.summaries:
            raise NotFound(f"{self.path}: there is no snapshot in it")

    @staticmethod
    def _read(number, file):
        try:
            return overview.summarize(file)
        except (Error, MemoryError) as error:
            return overview.unreadable(file, number, error)

    def before(self, summary):
        """The readable snapshot of the same run before one, or None."""
        earlier = [s for s in self.summaries if s.error is None and s.run == summary.run and s.id < summary.id]
        return earlier[-1] if earlier else None

    def bad(self):
        return [s for s in self.summaries if s.error is not None or s.violations]


def _pick(summaries):
    """Those that are shown in detail, the most important ones first: the newest, inconsistent ones, then the newest of the others."""
    readable = [s for s in reversed(summaries) if s.error is None]
    first = readable[:1] + [s for s in readable[1:] if s.violations][:3]
    return (first + [s for s in readable if s not in first])[:DETAILS]


def _anchor(summary):
    return f"snapshot-{summary.id}"


# ---- one snapshot ----

def _verdict(found, traced):
    """What is wrong with the cut, in red, or that nothing is. found: violations; traced: whether a trace was asked, too."""
    if not found:
        by = "by the counters of all channels" + (" and by the trace" if traced else "")
        return tag("p", tag("strong", "Consistent", class_="good"), f" {by}: what was received before the cut was sent before it, and "
                   f"what was sent before it and not received is here.")
    more = len(found) - WITNESSES
    return tag("div", tag("p", tag("strong", "Not a consistent cut"), ". Don't restart from it. Witnesses:"),
               tag("ul", [tag("li", v.text) for v in found[:WITNESSES]], tag("li", f"and {more} more") if more > 0 else None),
               class_="alarm", role="alert")


def _clocks(trace):
    """The vector clocks of the records, entries that break the cut in red."""
    clocks = trace.record_clocks()
    rows = [[f"record of rank {j}"] + [(f"{clocks[j, i]} > {clocks[i, i]}", "bad") if clocks[j, i] > clocks[i, i] else clocks[j, i]
                                       for i in range(trace.size)] for j in range(trace.size)]
    return table(["sends and receives before it, of rank"] + list(range(trace.size)), rows,
                 "Vector clocks: a cut is consistent if no entry is greater than that of its own rank, on the diagonal", "numbers")


def _part(title, draw, *arguments):
    """A part of a snapshot's details. What can't be drawn, because the file is not what it should be, says so."""
    try:
        content = draw(*arguments)
    except (Error, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        content = [tag("p", f"This can't be shown: {error or type(error).__name__}", class_="alarm")]
    return tag("section", tag("h3", title), content)


def _cut_part(snapshot, trace, found):
    parts = [spacetime.draw(spacetime.diagram(snapshot, trace, found), f"Space-time diagram of snapshot {snapshot.id}")]
    if trace and snapshot.size <= CLOCKS and len(trace.events) <= CLOCK_EVENTS:
        parts.append(_clocks(trace))
    return parts


def _details(summary, before, is_open):
    """All about one snapshot. before: the Summary of the one before it, or None."""
    with Snapshot(summary.file) as snapshot:
        trace = Trace(snapshot) if snapshot.trace is not None and len(snapshot.trace) else None
        found, pixels = summary.violations, fields.PIXELS if is_open else fields.FEWER_PIXELS
        about = (f"{short(snapshot.utc, 40)}, {several(snapshot.size, 'rank')}, {short(snapshot.cut, 40)} cut, {size(summary.state)} of state, "
                 f"{several(summary.in_flight, 'message')} in flight. {short(snapshot.mpi_library.partition(chr(10))[0])}")
        parts = [tag("p", about), _verdict(found, trace), _part("The cut", _cut_part, snapshot, trace, found)]
        if trace and snapshot.size <= steps.RANKS:
            parts.append(_part("Step by step", steps.draw, trace))
        parts += [_part("Who delayed it", phases.draw, snapshot), _part("Channels", matrix.draw, snapshot, found),
                  _part("Arrays", fields.draw, snapshot, pixels)]
        if before:
            with Snapshot(before.file) as earlier:
                parts.append(_part(f"What changed since snapshot {before.id}", changes.draw, earlier, snapshot, pixels))
        word, style = overview.status(summary)
        title = tag("summary", tag("h2", f"Snapshot {summary.id}"), " ", tag("span", word, class_=f"badge {style}"))
        return tag("details", title, parts, id=_anchor(summary), open="open" if is_open else None)


def _all_details(source, room):
    """The details of some snapshots, newest first, as far as there is room in bytes; and which those are."""
    shown = {}
    for summary in _pick(source.summaries):
        try:
            part = _details(summary, source.before(summary), not shown or bool(summary.violations))
        except Error as error:  # it has changed since it was first read
            part = tag("p", f"Snapshot {summary.id}: {error}", class_="alarm")
        room -= len(part.encode(errors="replace"))
        if room < 0 and shown:
            break
        shown[summary] = part
    return sorted(shown, key=lambda s: -s.id), [shown[s] for s in sorted(shown, key=lambda s: -s.id)]


# ---- all ----

def _errors(source):
    bad = source.bad()
    if not bad:
        return None
    items = [tag("li", f"{os.path.basename(s.file)}: ", s.error or s.violations[0].text) for s in bad[:WITNESSES]]
    more = tag("li", f"and {len(bad) - WITNESSES} more") if len(bad) > WITNESSES else None
    return tag("div", tag("p", tag("strong", f"{len(bad)} of {several(len(source.summaries), 'snapshot')} can't be used")), tag("ul", items, more),
               class_="alarm", role="alert")


def _overview(source):
    found = overview.runs(source.summaries)
    parts = [overview.list_runs(found, source.finished)] if found else []
    for run in found[-3:]:
        chart = overview.cost_chart(run)
        if chart:
            parts += [tag("h3", f"Cost and interval of run {run[0].run:016x}"), chart, overview.advice(run, source.history)]
    if len(found) > 3:
        parts.append(tag("p", f"Cost and interval are drawn for the newest 3 of {len(found)} runs.", class_="note"))
    return parts


def build(source):
    """The page of a Source, as text."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    top = _overview(source)
    shown, details = _all_details(source, BYTES - sum(len(p) for p in top if p) - 300 * min(len(source.summaries), overview.ROWS))
    link = lambda s: tag("a", s.id, href=f"#{_anchor(s)}") if s in shown else str(s.id)
    title = f"Wavecut: {os.path.basename(os.path.abspath(source.path))}"
    left_out = len(source.summaries) - len(shown)
    note = (f"Details are shown for {several(len(shown), 'snapshot')} of {len(source.summaries)}: the newest, and inconsistent ones. "
            f"wavecut-report FILE shows those of any other.") if left_out else None
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    body = [tag("header", tag("h1", title), tag("p", f"{os.path.abspath(source.path)}, looked at on {made}")),
            tag("main", _errors(source), tag("section", tag("h2", "Snapshots"), overview.list_snapshots(source.summaries, link),
                                             tag("p", note, class_="note") if note else None, top), details)]
    head = [tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"), tag("title", title), tag("style", Markup(style))]
    return "<!DOCTYPE html>\n" + tag("html", tag("head", head), tag("body", body), lang="en") + "\n"
