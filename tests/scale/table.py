#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""table.py RESULTS.json...: one list of all on standard output, a table for people on the error output."""
import json
import sys

HEAD = ("program", "method", "ranks", "tables", "voids", "armed ms", "record ms", "close ms", "barriers", "idle barriers",
        "markers", "channels", "messages", "state B", "copied B", "stall ms", "core B")


def read(paths):
    rows = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            rows += json.load(file)
    return rows


def cells(row, barriers):
    p = row["per_rank"]
    start = [row["program"], row["method"], str(row["ranks"]), row["tables"], f"{row['voids']}+{row['voids_again']}"]
    if not row["ended"]:
        return start + ["no snapshot" if row["voids"] else "not run"] + [""] * (len(HEAD) - 6)
    times = [f"{row[key] / 1e6:.2f}" if row[key] else "" for key in ("armed_ns", "recorded_ns", "closed_ns")]
    ratios = [f"{row['closed_ns'] / barriers[key]:.1f}" if key in barriers else ""
              for key in ((row["program"], row["ranks"]), ("idle", row["ranks"]))]
    return start + times + ratios + [f"{p['markers']:.1f}", f"{p['channels']:.1f}", f"{p['messages']:.0f}",
                                     f"{p['cut_bytes']:.0f}", f"{p['copied_bytes']:.0f}", f"{p['stalled_ns'] / 1e6:.2f}",
                                     f"{p['core_bytes']:.0f}"]


def main():
    rows = read(sys.argv[1:])
    barriers = {(r["program"], r["ranks"]): r["closed_ns"] for r in rows if r["method"] == "barrier" and r["ended"]}
    lines = [list(HEAD)] + [cells(row, barriers) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    for line in lines:
        print("  ".join(text.rjust(w) if i > 1 else text.ljust(w)
                        for i, (text, w) in enumerate(zip(line, widths))).rstrip(), file=sys.stderr)
    json.dump(rows, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
