# SPDX-License-Identifier: BSD-3-Clause
"""All snapshots of a directory: the table, and what they cost over time against the interval that would be best."""
import math
from collections import namedtuple
from datetime import datetime, timezone

import numpy as np

from ..cut import violations
from ..snapshot import Snapshot
from .markup import table, tag
from .svg import Drawing, legend, path, ticks
from .units import seconds, several, short, size

ROWS, RUNS = 500, 50  # of the tables
LATEST = 1e11  # seconds since 1970: a time behind it is none
POINTS = 2000  # of the drawing
MTBF = ((3600, "1 hour"), (86400, "1 day"), (30 * 86400, "30 days"), (365 * 86400, "1 year"))

Summary = namedtuple("Summary", "file id error run program parent time utc ranks cut state in_flight bytes pause durable violations")
Summary.__doc__ = """A snapshot in short. Where error is not None (its text), nothing but file and id is known. state: bytes of all ranks; pause: the
longest of a rank, durable: when the last part was on the disk, in seconds after its rank heard of the request."""


def summarize(file):
    """The Summary of a snapshot. Raises an Error."""
    with Snapshot(file) as s:
        ranks = s.ranks
        return Summary(file, s.id, None, s.run_id, s.program, s.parent_id, s.time, s.utc, s.size, s.cut, int(ranks["bytes"].sum()),
                       s.length("channels/messages"), s.bytes, float(np.nan_to_num(ranks["stall_s"]).max()),
                       float(np.nan_to_num(ranks["durable_s"]).max()), tuple(violations(s)))


def unreadable(file, number, error):
    """The Summary of a file that should be snapshot `number`."""
    return Summary(file, number, str(error) or type(error).__name__, *[None] * (len(Summary._fields) - 3))


def runs(summaries):
    """Summaries by run, in the order of their first ones; those that could not be read are in none."""
    found = {}
    for summary in summaries:
        if summary.error is None:
            found.setdefault(summary.run, []).append(summary)
    return list(found.values())


# ---- Young and Daly ----

def young(cost, mtbf):
    """The interval in seconds with the least expected loss, to first order: J. W. Young, CACM 17 (1974) 530."""
    return math.sqrt(2 * cost * mtbf)


def daly(cost, mtbf):
    """The same to higher order: J. T. Daly, Future Generation Computer Systems 22 (2006) 303."""
    if cost >= 2 * mtbf:
        return mtbf
    share = cost / (2 * mtbf)
    return young(cost, mtbf) * (1 + math.sqrt(share) / 3 + share / 9) - cost


def intervals(run):
    """Seconds between successive snapshots of a run that no restart lies between."""
    return [after.time - before.time for before, after in zip(run, run[1:]) if after.parent == before.parent and after.time > before.time]


def advice(run, history):
    """A table: the best interval for several times between failures, and what the present one is best for; None if nothing is known.
    history: seconds that the job has been up, number of its failures."""
    cost, between = float(np.median([s.pause for s in run])), intervals(run)
    if cost <= 0:
        return None
    up, failures = history
    known = [(up / failures, f"{seconds(up / failures)}: {several(failures, 'failure')} of this job in {seconds(up)}")] if failures and up > 0 else []
    rows = [(name, seconds(young(cost, mtbf)), seconds(daly(cost, mtbf))) for mtbf, name in known + list(MTBF)]
    text = (f"A snapshot costs the program the pause of {seconds(cost)} (median of the longest of each snapshot): the file is written while it goes "
            f"on. ")
    if between:
        usual = float(np.median(between))
        text += (f"The interval of {seconds(usual)} (median) is Young's optimum for a time between failures of "
                 f"{seconds(usual * usual / (2 * cost))}. ")
    text += f"No interval can be shorter than a snapshot takes, {seconds(float(np.median([s.durable for s in run])))}."
    return [table(["mean time between failures", "interval, Young", "interval, Daly"], rows, "Which interval is best"), tag("p", text, class_="note")]


# ---- drawing ----

def _clock(time, span):
    """A time of the axis, as exactly as it needs to be."""
    if span < 20:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%H:%M:%S.%f")[:-4]
    form = "%H:%M:%S" if span < 3600 else "%H:%M" if span < 86400 else "%d %b %H:%M" if span < 86400 * 20 else "%Y-%m-%d"
    return datetime.fromtimestamp(time, timezone.utc).strftime(form)


def cost_chart(run):
    """Pause, duration and interval of each snapshot over time, on a logarithmic scale, with Young's optimum; restarts as lines."""
    points = [s for s in run if 0 <= s.time < LATEST][-POINTS:]
    if len(points) < 2:
        return None
    width, height, left, right, top, bottom = 1000, 300, 70, 986, 12, 262
    begin, end = points[0].time, max(points[-1].time, points[0].time + 1e-3)
    between = [(a, a.time - b.time) for b, a in zip(points, points[1:]) if a.parent == b.parent]
    series = (("pause", [(s.time, s.pause) for s in points]), ("duration", [(s.time, s.durable) for s in points]),
              ("interval", [(s.time, gap) for s, gap in between]))
    values = [v for _, row in series for _, v in row if 0 < v < math.inf]
    cost = float(np.median([s.pause for s in points]))
    best = young(cost, 86400) if cost > 0 else None
    values += [best] if best else []
    if not values:
        return None
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    drawing = Drawing(width, height, "Pause, duration and interval of the snapshots over time", least=760)
    x = lambda time: left + (right - left) * (time - begin) / (end - begin)
    y = lambda v: bottom - (bottom - top) * (min(max(math.log10(v), low), high) - low) / max(high - low, 1)
    for decade in range(low, high + 1, max(1, (high - low) // 8)):
        drawing.line(left, y(10.0 ** decade), right, y(10.0 ** decade), "grid")
        drawing.text(left - 6, y(10.0 ** decade) + 4, seconds(10.0 ** decade), "tick", "end")
    for tick in ticks(0, end - begin, 4):
        anchor = "start" if tick == 0 else "end" if x(begin + tick) > right - 50 else "middle"
        drawing.text(x(begin + tick), height - 14, _clock(begin + tick, end - begin), "tick", anchor)
    for before, after in zip(points, points[1:]):
        if before.parent != after.parent:
            drawing.line(x(after.time), top, x(after.time), bottom, "restart", f"restarted from snapshot {after.parent}")
    if best:
        drawing.line(left, y(best), right, y(best), "optimum", f"Young's optimum for one failure a day: {seconds(best)}")
    for name, row in series:
        line = [f"{x(time):.1f} {y(v):.1f}" for time, v in row if 0 < v < math.inf]
        if line:
            dots = "".join(f"M{at}h.01" for at in line)  # round caps make dots of them
            drawing.add(path("M" + "L".join(line), f"series {name}"), path(dots, f"dots {name}"))
    known = [("series interval", "interval to the snapshot before"), ("series duration", "from the request until all is on the disk, slowest rank"),
             ("series pause", "pause of the program, longest of a rank"), ("optimum", "Young's optimum for one failure a day")]
    if any(a.parent != b.parent for a, b in zip(points, points[1:])):
        known.append(("restart", "restart"))
    return [drawing.html(), legend(*known)]


# ---- the table ----

def status(summary):
    """Text and class of a cell."""
    if summary.error is not None:
        return "damaged", "bad"
    return ("inconsistent", "bad") if summary.violations else ("consistent", "good")


def list_snapshots(summaries, link):
    """The table, newest first. link: a function that makes a cell of a summary's name."""
    rows = []
    before = {after.id: after.time - b.time for run in runs(summaries) for b, after in zip(run, run[1:])}
    for s in list(reversed(summaries))[:ROWS]:
        if s.error is not None:
            rows.append([link(s), *[""] * 9, status(s)])
            continue
        rows.append([link(s), short(s.utc.replace("T", " ").rstrip("Z"), 40), seconds(before[s.id]) if s.id in before else "", s.ranks,
                     short(s.cut, 40), size(s.state),
                     s.in_flight, size(s.bytes), seconds(s.pause), seconds(s.durable), status(s)])
    head = ["snapshot", "time (UTC)", "interval", "ranks", "cut", "state", "in flight", "file", "pause", "on disk after", "cut is"]
    left_out = f", the newest {ROWS}" if len(summaries) > ROWS else ""
    return table(head, rows, f"{several(len(summaries), 'snapshot')}{left_out}", "numbers snapshots")


def list_runs(found, finished):
    """A table of the runs. finished: the number of the run that has reached its end here, or None."""
    rows = []
    for run in found[-RUNS:]:
        restarts = sorted({s.parent for s in run if s.parent})
        rows.append([f"{run[0].run:016x}", short(run[0].program), run[0].ranks, f"{run[0].id} to {run[-1].id}" if len(run) > 1 else run[0].id,
                     short(", ".join(map(str, restarts))) or "\u2013", "yes" if run[0].run == finished else "no"])
    return table(["run", "program", "ranks", "snapshots", "restarted from", "finished"], rows, several(len(found), "run")
                 + (f", the last {RUNS}" if len(found) > RUNS else ""))
