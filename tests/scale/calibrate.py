#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real runs on this machine beside what the model says of them.

calibrate.py BUILD OUT [RANKS...]: writes OUT/local.json (the machine, measured between two ranks) and
OUT/calibration.json; shows a table. More ranks than cores share them, which the model knows only as longer steps: only
runs with a core for each rank compare."""
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

SNAPSHOTS, SKIPPED = 12, 2  # the first ones learn the lookahead
TIMES = ("armed", "recorded", "closed")
SIZE = 1024
# program, its arguments, the model's, bytes of a message. The rest of the arguments comes from what was measured.
JOBS = (("heat", ("--steps=1000000", f"--size={SIZE}"), "line", 8 * SIZE),
        ("phold", ("--steps=100000000", "--size=2"), "tokens", 32))


def output(command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def snapshots(directory, build):
    files = sorted(glob.glob(f"{directory}/wavecut-*.h5"))
    return [json.loads(output([f"{build}/bin/wavecut", "info", "--json", f])) for f in files]


def measure(build, ranks, program, arguments):
    """Medians over ranks and snapshots, in ns: a step, and heard to armed, recorded, closed."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {"WAVECUT_DIR": directory, "WAVECUT_INTERVAL": "0.3", "WAVECUT_KEEP": "0"}
        with subprocess.Popen(["mpirun", "-n", str(ranks), f"{build}/jobs/{program}", *arguments],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              env={**os.environ, **settings}) as job:
            try:
                job.wait(timeout=0.3 * SNAPSHOTS + 3)
            except subprocess.TimeoutExpired:
                job.terminate()
        taken = snapshots(directory, build)[SKIPPED:]
    if len(taken) < 3:
        sys.exit(f"{program}, {ranks} ranks: only {len(taken)} snapshots")
    rows = [row for snapshot in taken for row in snapshot["ranks"]]
    first, last = taken[0]["ranks"][0], taken[-1]["ranks"][0]
    step = (last["record_time"] - first["record_time"]) / (last["step"] - first["step"]) * 1e9
    times = [statistics.median(row[key] for row in rows) * 1e9 for key in ("arm_s", "record_s", "close_s")]
    return step, dict(zip(TIMES, times))


def predict(build, ranks, machine, program, step, size):
    text = output([f"{build}/bin/wavecut-scale", "--machine", machine, "--program", program, "--method", "wavecut",
                   "--ranks", str(ranks), "--step", str(step), "--bytes", str(size), "--jitter", "0.1", "--json"])
    row = json.loads(text)[0]["per_rank"]
    return {key: row[f"{key}_ns"] for key in TIMES}


def main():
    build, out = sys.argv[1:3]
    machine = f"{out}/local.json"
    with open(machine, "w", encoding="utf-8") as file:
        file.write(output(["mpirun", "-n", "2", f"{build}/bin/scale_pingpong"]))
    with open(machine, encoding="utf-8") as file:
        overhead = json.load(file)["o_ns"]
    rows = []
    print(f"{'job':8} {'ranks':>5} {'step us':>9}   measured us: armed, recorded, closed   predicted us")
    for ranks in map(int, sys.argv[3:] or ("2", "4", "8")):
        for program, arguments, model, size in JOBS:
            step, measured = measure(build, ranks, program, arguments)
            predicted = predict(build, ranks, machine, model, max(step - 4 * overhead, 100), size)
            shared = ranks > os.cpu_count()
            rows.append({"job": program, "ranks": ranks, "step_ns": step, "measured_ns": measured,
                         "predicted_ns": predicted, "cores_shared": shared})
            print(f"{program:8} {ranks:5} {step / 1e3:9.1f}   "
                  + "  ".join(f"{measured[t] / 1e3:9.1f}" for t in TIMES) + "   "
                  + "  ".join(f"{predicted[t] / 1e3:9.1f}" for t in TIMES)
                  + ("   cores are shared: does not compare" if shared else ""), flush=True)
    with open(f"{out}/calibration.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
