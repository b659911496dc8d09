# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate faults in src: each is a few replacements in one file, and must be found by a simulation within so many seeds.

    name, file below src, [(from, to), ...], seeds

Run are those whose name has one of the words of the command line; else all of them with TESTS_FULL in the environment, and a sample
without, of those that a minute finds. A seed that fails without a fault would be found by every run: so a fault counts as found only by seeds that pass without.
"""
import concurrent.futures
import os
import random
import re
import subprocess
import tempfile

SOURCE = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "src"))
SAMPLE, QUICK = 6, 30000


def changed(mutation):
    _, path, replacements, _ = mutation
    with open(os.path.join(SOURCE, path)) as f:
        text = f.read()
    for old, new in replacements:
        text = text.replace(old, new)
    return text


def check_patterns(mutations):
    """All of them, whatever the sample: a fault whose place has changed would be found missing at random."""
    for name, path, replacements, _ in mutations:
        with open(os.path.join(SOURCE, path)) as f:
            text = f.read()
        for old, _ in replacements:
            if text.count(old) != 1:
                raise SystemExit(f"mutate: {name}: found {text.count(old)} times in {path}: {old}")


def find(mutation, build_mutant, original, options):
    """(seed, what it showed), or None."""
    with tempfile.TemporaryDirectory(prefix="wavecut-mutant-") as work:
        program = build_mutant(mutation, work)
        first, last = 1, mutation[3]
        while first <= last:
            run = subprocess.run([program, *options, "--first", str(first), "--seeds", str(last - first + 1), "--stop"],
                                 capture_output=True, text=True)
            seed = re.search(r"^seed (\d+): (.*)$", run.stdout, re.M)
            if not seed and run.returncode == 0:
                return None
            if not seed:  # an assertion, or a crash
                at = re.search(r"^wavecut-\w+: seed (\d+)", run.stderr, re.M)
                return (int(at.group(1)) if at else first, (run.stderr.strip().splitlines() or ["a crash"])[0][-90:])
            number = int(seed.group(1))
            if subprocess.run([original, *options, "--seed", str(number)], capture_output=True).returncode == 0:
                return number, seed.group(2)
            first = number + 1
    return None


def choose(mutations, words):
    if words:
        return [m for m in mutations if any(word in m[0] for word in words)]
    if "TESTS_FULL" in os.environ or len(mutations) <= SAMPLE:
        return mutations
    seed = random.randrange(1 << 32)
    print(f"a sample of {SAMPLE}, seed {seed}", flush=True)
    return random.Random(seed).sample([m for m in mutations if m[3] <= QUICK], SAMPLE)


def hunt(mutations, words, build_mutant, original, options=lambda mutation: []):
    """The exit status. build_mutant(mutation, work) gives the program with it; original: the one without. options(mutation): what both
    are run with."""
    chosen = choose(mutations, words)
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda m: find(m, build_mutant, original, options(m)), chosen)
        for (name, path, _, seeds), found in zip(chosen, results):
            missed += found is None
            told = f"seed {found[0]:>5}: {found[1]}" if found else f"NOT FOUND in {seeds} seeds"
            print(f"{path:16} {name:70} {told}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} faults found")
    return 1 if missed else 0
