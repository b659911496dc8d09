#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""plot.py RESULTS.json [CALIBRATION.json] OUT.png: time from request to close over ranks, both logarithmic."""
import json
import math
import sys

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

STYLES = {"wavecut": "-", "barrier": ":", "blocking": "--", "textbook": "-."}
COLOURS = {"idle": "grey", "stencil": "C0", "stencil-immediate": "C1", "graph": "C2", "all": "C3"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def draw_results(axes, rows):
    lines = {}
    for row in rows:
        if row["ended"] and row["closed_ns"] > 0:
            lines.setdefault((row["program"], row["method"]), []).append(row)
    for (program, method), points in lines.items():
        points.sort(key=lambda row: row["ranks"])
        n, time = [r["ranks"] for r in points], [r["closed_ns"] / 1e6 for r in points]
        colour = COLOURS.get(program, "C4")
        axes.plot(n, time, STYLES.get(method, "-"), color=colour, label=f"{program}, {method}")
        run = [i for i, r in enumerate(points) if r["tables"] != "fitted"]
        axes.plot([n[i] for i in run], [time[i] for i in run], "o", color=colour, markersize=4)
        if (program, method) == ("stencil", "wavecut"):
            a = time[0] / math.log2(n[0])
            axes.plot(n, [a * math.log2(x) for x in n], color="black", linewidth=0.7, label=f"{a:.2f} ms · log2 n")


def draw_calibration(axes, rows):
    for row in rows:
        fill = "none" if row["cores_shared"] else "black"
        axes.plot(row["ranks"], row["measured_ns"]["closed"] / 1e6, "s", color="black", markerfacecolor=fill)
        axes.plot(row["ranks"], row["predicted_ns"]["closed"] / 1e6, "x", color="black")
    if rows:
        axes.plot([], [], "s", color="black", label="measured here (open: cores are shared)")
        axes.plot([], [], "x", color="black", label="the model of the same run")


def main():
    *inputs, out = sys.argv[1:]
    figure, axes = plt.subplots(figsize=(12, 7))
    draw_results(axes, read(inputs[0]))
    if len(inputs) > 1:
        draw_calibration(axes, read(inputs[1]))
    axes.set(xscale="log", yscale="log", xlabel="ranks", ylabel="request to close, ms",
             title="Points were run, lines without points are fitted")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    main()
