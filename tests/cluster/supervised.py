# SPDX-License-Identifier: BSD-3-Clause
"""Jobs under `wavecut run`; shared by the tests in here."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))
import runs

FINISHED, FAILS, USAGE, NO_COMMAND, TAKEN, UNFINISHED = 0, 1, 2, 3, 6, 75
RANKS = 4
PROGRAMS = {"heat": ["--steps=800", "--size=256", "--slow=2"], "phold": ["--steps=150", "--size=64", "--slow=0.02"]}


def supervised(build, work, program, run_options=(), options=None, ranks=RANKS, wrapper=(), **settings):
    """A runs.Job whose process is `wavecut run`; wrapper: a command that is to start mpirun. Without options: those of PROGRAMS; the result goes to WORK/out."""
    prefix = [os.path.join(build, "bin/wavecut"), "run", "--backoff=0.1", *run_options, "--", *wrapper]
    options = PROGRAMS[program] if options is None else options
    settings = {"INTERVAL": 0.05, **settings}
    return runs.Job(build, work, f"jobs/{program}", [*options, f"--out={work}/out"], ranks, prefix=prefix, **settings)


def undisturbed(build, work, program, options=None, ranks=RANKS):
    """The result of a run without snapshots, and how long it takes."""
    place = os.path.join(work, "undisturbed")
    os.makedirs(place, exist_ok=True)
    out = os.path.join(place, f"{program}.out")
    begun = time.monotonic()
    options = PROGRAMS[program] if options is None else options
    code, output = runs.run(build, place, f"jobs/{program}", [*options, f"--out={out}"], ranks, DIR=f"{place}/{program}")
    runs.expect(code == 0, f"the undisturbed run failed:\n{output}")
    return out, time.monotonic() - begun


def expect_code(job, code):
    ended = job.wait()
    runs.expect(ended == code, f"exit status {ended}, not {code}:\n{job.output()[-4000:]}")
    return job.output()


def lines(output):
    """What `wavecut run` has told, without the times."""
    return re.findall(r"^wavecut run: \S+ \S+ \S+  (.*)$", output, re.M)


def expect_lines(output, *patterns):
    """Each in its turn, others in between."""
    told = iter(lines(output))
    for pattern in patterns:
        runs.expect(any(re.search(pattern, line) for line in told), f"no line with \"{pattern}\" in its turn:\n{output[-4000:]}")


def starts(output):
    return sum(bool(re.match(r"start \d+ in", line)) for line in lines(output))


def wait_for(condition, what, job=None, limit_s=60):
    until = time.monotonic() + limit_s
    while not condition():
        runs.expect(time.monotonic() < until and not (job and not job.running()),
                    f"not in time: {what}\n{job.output()[-3000:] if job else ''}")
        time.sleep(0.02)
