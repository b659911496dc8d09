# SPDX-License-Identifier: BSD-3-Clause
"""Runs the programs of the benches and shows their numbers; tests/bench/run builds them.

A row compares what was measured with a reference of the same run. Both are medians over repetitions that alternate, so
that what disturbs the machine disturbs both; --json has the single samples too."""
import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))
import runs

RANKS = 2
WINDOW = 64  # of idle.c


class Bench:
    def __init__(self, programs, directory, repetitions):
        self.programs, self.directory, self.repetitions = programs, directory, repetitions
        self.mpirun = (f"mpirun.{runs.mpi_of(os.path.dirname(programs))}", "-n", str(RANKS))
        self.rows = []

    def ranks(self, n):
        return (*self.mpirun[:-1], str(n))

    def run(self, program, arguments, before=None, **environment):
        """Output of a program, under mpirun or what comes `before`; it gets a fresh directory as {work}."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAVECUT_")}
        with tempfile.TemporaryDirectory(dir=self.directory) as work:
            command = [*(before or self.mpirun), os.path.join(self.programs, program), *arguments]
            done = subprocess.run([part.format(work=work) for part in command], text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, check=False,
                                  env={**inherited, "WAVECUT_DIR": f"{work}/snapshots", **environment})
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def add(self, group, name, unit, reference, measured, kind="ratio", target=None):
        """`reference` and `measured` are lists of samples; `kind` says how they are compared. A target is met by what is not
        above it; of a rate, which is a ratio as well, by what is not below it."""
        if math.isnan(reference[0] + measured[0]):
            return  # this build has no parallel HDF5
        a, b = statistics.median(reference), statistics.median(measured)
        self.rows.append({"group": group, "name": name, "unit": unit, "reference": a, "measured": b, "kind": kind,
                          "result": b - a if kind == "added" else b / a, "target": target,
                          "samples": {"reference": reference, "measured": measured}})


def columns(bench, program, arguments, convert, before=None, **environment):
    """The numbers that a program prints, by column."""
    lines = bench.run(program, arguments, before, **environment).stdout.splitlines()
    table = [[convert(float(word)) for word in line.split()] for line in lines if re.match(r"[\d.-]+ ", line)]
    return [list(column) for column in zip(*table)]


def milliseconds(seconds):
    return seconds * 1e3


# ---- idle ----

VARIANTS = (("bench_idle_plain", "plain"), ("bench_idle", "aligned"), ("bench_idle", "immediate"))


def instructions(bench, program, cut, kind, function, **settings):
    """Of one call of `function`. The difference of two runs has no first call in it, nor anything else that is once."""
    few, many = 2000, 12000
    counts = []
    for n in (few, many):
        valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file={work}/out", f"--toggle-collect={function}")
        done = bench.run(program, (kind, str(n)), valgrind, IDLE_CUT=cut, **settings)
        counts.append(int(re.search(r"Collected : (\d+)", done.stderr).group(1)))
    return [(counts[1] - counts[0]) / (many - few)]


COUNTED = (("Irecv + Isend + Waitall to self", "trio", "one_trio", 60, 90),
           ("Send to self", "pair", "one_send", 20, None),
           ("Recv to self", "pair", "one_recv", 20, 169),
           ("Start + Wait of a persistent send", "persistent", "one_persistent_send", 60, None),
           ("Start + Wait of a persistent receive", "persistent", "one_persistent_recv", 60, None))


def idle(bench):
    for name, kind, function, *targets in COUNTED:
        plain, *ours = [instructions(bench, program, cut, kind, function) for program, cut in VARIANTS]
        for (_, cut), ours_in_cut, target in zip(VARIANTS[1:], ours, targets):
            bench.add("idle", f"{name}, {cut}", "instructions", plain, ours_in_cut, "added", target)
    timed = (("ping-pong 8 B", "µs one way", ("pingpong", "8", "1000"), lambda us: us / 2, "ratio", 1.05),
             ("ping-pong 64 KiB", "µs one way", ("pingpong", "65536", "100"), lambda us: us / 2, "ratio", 1.05),
             ("message rate 8 B", "million/s", ("window", "8", "100"), lambda us: WINDOW / us, "rate", 0.9))
    for name, unit, arguments, convert, kind, target in timed:
        for _, cut in VARIANTS[1:]:
            turns = str(30 * bench.repetitions)
            samples = columns(bench, "bench_idle", (*arguments, turns), convert, IDLE_CUT=cut)
            bench.add("idle", f"{name}, {cut}", unit, *samples, kind, target)


# ---- trace ----


def trace(bench):
    for name, kind, function, *_ in COUNTED:
        without, traced = [instructions(bench, "bench_idle", "aligned", kind, function, WAVECUT_TRACE=events) for events in ("0", "100000")]
        bench.add("trace", name, "instructions", without, traced, "added")


# ---- threads ----


def threads(bench):
    for kind, name in (("window", "Isend, Irecv + Waitall"), ("blocking", "Send, Recv")):
        for n in (1, 2, 4):
            for _, cut in VARIANTS[1:]:
                arguments = (kind, str(n), "20", str(3 * bench.repetitions))
                samples = columns(bench, "bench_threads", arguments, float, IDLE_CUT=cut)
                bench.add("threads", f"{name} 8 B, {n} threads on each rank, {cut}", "million/s", *samples, "rate")


# ---- stall, write ----


def stall(bench):
    # Sizes of which a row is whole pages. One rank leaves a core to the writer's thread.
    for ranks, size, kind, held_target, added_target in ((1, 5632, "copy", 1.15, 1.5), (1, 5632, "hint", 0.05, 0.3),
                                                         (RANKS, 4096, "copy", 1.5, None), (RANKS, 8192, "copy", 1.5, None),
                                                         (RANKS, 8192, "hint", None, None)):
        arguments = (kind, str(bench.repetitions), "{work}", f"--size={size}", "--steps=1000000000")
        copy, hash_, held, record, calls, added, _, hdf5 = columns(bench, "bench_stall", arguments, milliseconds, bench.ranks(ranks))
        heat = f"{ranks} x {size * size * 8 // ranks >> 20} MiB, {kind}:"
        bench.add("stall", f"{heat} held in Wavecut's calls", "ms", copy, held, target=held_target)
        bench.add("stall", f"{heat} wall time added", "ms", copy, added, target=added_target)
        if kind == "copy":
            bench.add("stall", f"{heat}   of what is held the record", "ms", copy, record)
            bench.add("stall", f"{heat} MPI calls, beyond quiet steps", "ms", copy, calls)
            bench.add("stall", f"{heat} stopped for parallel HDF5, no fsync", "ms", copy, hdf5)
        if kind == "copy" and ranks == RANKS:
            both = [c + h + 0.4 * c for c, h in zip(copy, hash_)]
            bench.add("stall", f"{heat} wall time added, against 1.4 copies and a checksum", "ms", both, added, target=1)


def cow(bench):
    """What a record would cost that left the copying to the first write of each page: the pause and the next pass together."""
    lines = bench.run("bench_cow", ("256", str(bench.repetitions)), before=("env",)).stdout.splitlines()
    plain, *rest = [list(column) for column in zip(*([float(word) for word in line.split()] for line in lines))]
    copy = [a + b - p for a, b, p in zip(rest[0], rest[1], plain)]
    for k, name in ((2, "fork"), (4, "mprotect"), (6, "userfaultfd")):
        bench.add("cow", f"256 MiB, {name}: the pause", "ms", rest[0], rest[k])
        bench.add("cow", f"256 MiB, {name}: the pause, and what the next pass takes more", "ms", copy,
                  [a + b - p for a, b, p in zip(rest[k], rest[k + 1], plain)])


def timed_heat(bench, steps, **environment):
    """Wall time of a whole job, and its snapshots."""
    arguments = (f"--steps={steps}", "--size=3072")
    start = time.monotonic()
    done = bench.run("../jobs/heat", arguments, **environment)
    return time.monotonic() - start, done.stderr.count("committed")


def job(bench):
    """Whole runs, with and without by turns. Each takes about 25 s."""
    few = timed_heat(bench, 40)[0]
    steps = int(25 / max(timed_heat(bench, 140)[0] - few, 0.1) * 100)
    without, with_ = [], []
    for _ in range(min(bench.repetitions, 3)):
        without.append(timed_heat(bench, steps)[0])
        seconds, snapshots = timed_heat(bench, steps, WAVECUT_INTERVAL="10", WAVECUT_LOG="info")
        with_.append(seconds)
    bench.add("job", f"heat, {RANKS} x 36 MiB, {snapshots} snapshots, one each 10 s", "s", without, with_, target=1.01)


def write(bench):
    for mib in (64, 256):
        for kind, meanwhile in (("idle", "ranks sleep"), ("busy", "ranks compute")):
            arguments = (kind, str(mib), str(bench.repetitions), "{work}")
            direct, commit, hdf5, record, spent, ours = columns(bench, "bench_write", arguments, milliseconds)
            name = f"{RANKS} x {mib} MiB, {meanwhile}: against"
            bench.add("write", f"{name} O_DIRECT + fsync", "ms", direct, commit)
            bench.add("write", f"{name} parallel HDF5 + fsync", "ms", hdf5, commit)
            behind = [all_of_it - copy for all_of_it, copy in zip(commit, record)]
            bench.add("write", "  without the copy that the record makes", "ms", direct, behind)
            bench.add("write", "  processor time of rank 0 for writing", "ms", spent, ours)
    for split in ("rows", "columns", "blocks"):
        direct, commit, *_ = columns(bench, "bench_write", ("idle", "64", str(bench.repetitions), "{work}", split), milliseconds)
        bench.add("write", f"{RANKS} x 64 MiB, one array in {split}: against O_DIRECT + fsync", "ms", direct, commit)


def restore(bench):
    for mib in (64, 256):
        with tempfile.TemporaryDirectory(dir=bench.directory) as made:
            bench.run("bench_restore", (str(mib), "make"), WAVECUT_DIR=made)
            file = f"{made}/wavecut-000001.h5"
            lines = [columns(bench, "bench_restore", (str(mib), file), milliseconds, WAVECUT_DIR=made, WAVECUT_RESTART=file)
                     for _ in range(bench.repetitions)]
        direct, verify, all_of_it = [[line[i][0] for line in lines] for i in range(3)]
        bench.add("restore", f"{RANKS} x {mib} MiB, until all is verified: against O_DIRECT reads", "ms", direct, verify)
        bench.add("restore", f"{RANKS} x {mib} MiB, until the program has it", "ms", direct, all_of_it, target=1.11 if mib == 256 else None)


# ---- output ----

BENCHES = {"idle": (idle, "what calls cost while no snapshot is under way", ("without", "with")),
           "trace": (trace, "what calls cost with WAVECUT_TRACE while no snapshot is under way", ("without", "with")),
           "threads": (threads, "message rate of several threads at once while no snapshot is under way", ("without", "with")),
           "stall": (stall, "for how long a snapshot keeps heat from working", ("memcpy", "measured")),
           "cow": (cow, "copying when it is written first, instead of in the record", ("copy", "measured")),
           "job": (job, "what snapshots cost a whole job", ("without", "with")),
           "write": (write, "from the request to the commit", ("reference", "snapshot")),
           "restore": (restore, "a restart, nothing in the page cache", ("reading", "restart"))}


def verdict(row):
    if row["target"] is None:
        return ""
    is_rate = row["kind"] == "rate"
    met = row["result"] >= row["target"] if is_rate else row["result"] <= row["target"]
    return f"{'>=' if is_rate else '<='} {row['target']:<4} {'met' if met else 'MISSED'}"


def show(name, rows):
    _, title, heads = BENCHES[name]
    lines = [(title, "unit", *heads, "", "target")]
    for row in rows:
        result = f"+ {row['result']:.1f}" if row["kind"] == "added" else f"x {row['result']:.2f}"
        lines.append((row["name"], row["unit"], f"{row['reference']:.2f}", f"{row['measured']:.2f}", result, verdict(row)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    print(f"{name}:")
    for first, unit, *numbers, target in lines:
        cells = [first.ljust(widths[0]), unit.ljust(widths[1]), *(n.rjust(w) for n, w in zip(numbers, widths[2:])), target]
        print("  " + "  ".join(cells).rstrip())


def main():
    parser = argparse.ArgumentParser(prog="run", description="What Wavecut costs, against targets.")
    parser.add_argument("programs", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; default: all")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--dir", help="where files are written; default: build/bench")
    parser.add_argument("--repetitions", type=int, default=7, help="of what is timed; default: 7")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHES)
    if unknown or options.repetitions < 1:
        parser.error(f"there is no bench {', '.join(sorted(unknown))}" if unknown else "--repetitions: at least 1")
    directory = os.path.abspath(options.dir or os.path.join(options.programs, "../../bench"))
    os.makedirs(directory, exist_ok=True)
    load = os.getloadavg()[0]  # of others; times need a machine of one's own, counts don't
    if not options.json:
        print(f"{os.cpu_count()} processors, load at the start {load:.1f}; medians")
    bench = Bench(options.programs, directory, options.repetitions)
    for name in options.names or BENCHES:
        BENCHES[name][0](bench)
        if not options.json:
            show(name, [row for row in bench.rows if row["group"] == name])
    if options.json:
        machine = {"processors": os.cpu_count(), "load": load, "kernel": platform.release(), "kind": platform.machine()}
        json.dump({"machine": machine, "repetitions": options.repetitions, "rows": bench.rows}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
