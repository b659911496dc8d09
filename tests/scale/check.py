#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check.py WAVECUT-SCALE ARGUMENT...: does the model show what it must?

Each run ends in snapshots, markers are as many as channels used, times grow no faster than log n, a bundle of channels
behaves as the channels it stands for, and the same seed gives the same numbers."""
import json
import math
import subprocess
import sys

FROM_LOG = 1.6  # steps are whole: the smallest run may be lucky
LATE = 1  # attempts in which aligned ranks learn how long an agreement takes
BUNDLE = 0.1  # one entry for all channels of a rank may change times by so much


def run(*more):
    done = subprocess.run([*sys.argv[1:], "--json", *more], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"{' '.join(done.args)}: {done.stderr}")
    return json.loads(done.stdout)


def check(true, text):
    if not true:
        sys.exit(text)


def main():
    rows = run("--method", "wavecut")
    for row in rows:
        what = f"{row['program']}, {row['ranks']} ranks"
        check(row["ended"], f"{what}: no snapshot was committed")
        check(row["markers_are_channels"], f"{what}: markers are not the channels used: {row['per_rank']}")
        check(row["per_rank"]["markers"] == row["per_rank"]["channels"] > 0, f"{what}: {row['per_rank']}")
        in_flight = row["program"] != "stencil" or "--lag" in sys.argv
        check((row["per_rank"]["cut_bytes"] > 0) == in_flight, f"{what}: channel state: {row['per_rank']}")
        check(row["voids"] <= LATE and row["voids_again"] == 0, f"{what}: {row['voids']} + {row['voids_again']} void")
    first = rows[0]
    for row in rows[1:]:
        growth = row["closed_ns"] / first["closed_ns"]
        log = math.log(row["ranks"]) / math.log(first["ranks"])
        check(growth <= FROM_LOG * log, f"from {first['ranks']} to {row['ranks']} ranks the time grew {growth:.2f} times, "
              f"log n {log:.2f} times")
    for row, bundled in zip(rows, run("--method", "wavecut", "--bundle", "1")):
        check(bundled["ended"] and abs(bundled["closed_ns"] / row["closed_ns"] - 1) < BUNDLE,
              f"{row['ranks']} ranks, bundled: {bundled['closed_ns']} ns instead of {row['closed_ns']}")
    check(rows == run("--method", "wavecut"), "the same seed gave other numbers")


if __name__ == "__main__":
    main()
