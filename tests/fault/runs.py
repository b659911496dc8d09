# SPDX-License-Identifier: BSD-3-Clause
"""Jobs of programs that are killed, restarted and compared; shared by the tests of faults and of restarts."""
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_S = 120  # of one run: then it hangs


class Failure(Exception):
    """A test has found something; the text says what."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def mpi_of(build):
    """Name of the MPI that a build is for: so its library is called."""
    library, = glob.glob(os.path.join(build, "lib/libwavecut-*.so"))
    return re.search(r"libwavecut-(\w+)\.so", library).group(1)


def mpirun_settings():
    with open(os.path.join(os.path.dirname(__file__), "../../jobs/mpirun.env")) as f:
        return dict(line.rstrip().split("=", 1) for line in f if not line.startswith("#"))


class Job:
    """One run of a program under mpirun, in a session of its own, its output in a file."""

    def __init__(self, build, work, program, options, ranks=4, prefix=(), **settings):
        self.log = os.path.join(work, "log")
        self.ranks = ranks
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WAVECUT_")}
        environment.update(mpirun_settings(), WAVECUT_DIR=os.path.join(work, "ckpt"))
        environment.update({f"WAVECUT_{k}": str(v) for k, v in settings.items()})
        command = [*prefix, f"mpirun.{mpi_of(build)}", "-n", str(ranks), os.path.join(build, program), *options]
        self.start(command, environment)

    def start(self, command, environment):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def pids(self):
        """Process of each rank that is there: a descendant of mpirun, which may give its ranks sessions of their own."""
        parents, ranks = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    parents[int(pid)] = int(f.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{pid}/environ", "rb") as f:
                    rank = re.search(rb"\b(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)", f.read())
            except (OSError, IndexError):
                continue
            if rank:
                ranks[int(pid)] = int(rank.group(1))

        def is_ours(pid):
            while pid in parents and pid != self.process.pid:
                pid = parents[pid]
            return pid == self.process.pid

        return {rank: pid for pid, rank in ranks.items() if is_ours(pid)}

    def signal(self, rank, number):
        """False: the rank isn't there (any more)."""
        pid = self.pids().get(rank)
        try:
            if pid:
                os.kill(pid, number)
        except ProcessLookupError:
            pid = None
        return bool(pid)

    def wait_until_up(self):
        """Until wavecut_init has loaded its HDF5 module on every rank: a rank that dies while MPI starts makes mpirun hang."""
        while self.running():
            pids = self.pids()
            if len(pids) == self.ranks and all(map(has_store, pids.values())):
                return
            time.sleep(0.01)

    def running(self):
        return self.process.poll() is None

    def wait(self):
        """Exit code. A job that doesn't end is ended, and is a failure."""
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failure(f"no end after {LIMIT_S} s:\n{self.output()[-3000:]}") from None

    def end(self):
        """mpirun ends its ranks; if it hangs itself, all of them are ended here."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for rank in self.pids():
                self.signal(rank, signal.SIGKILL)
            self.process.kill()
            self.process.wait()

    def wait_for_snapshots(self, n):
        directory = os.path.join(os.path.dirname(self.log), "ckpt")
        while self.running() and len(snapshots(directory)) < n:
            time.sleep(0.01)
        expect(len(snapshots(directory)) >= n, f"only {len(snapshots(directory))} snapshots:\n{self.output()[-3000:]}")

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()


def python(build, script, *options):
    """Program and options of a Job: a script of mpi4py under the preloaded library."""
    return "/usr/bin/env", [f"LD_PRELOAD={build}/lib/libwavecut-{mpi_of(build)}.so", f"PYTHONPATH={build}/lib/wavecut/python",
                            "/usr/bin/python3", os.path.join(ROOT, script), *map(str, options)]


def has_store(pid):
    try:
        with open(f"/proc/{pid}/maps") as f:
            return "wavecut-store" in f.read()
    except OSError:
        return False


def run(*arguments, **settings):
    """The exit code and the output of a whole run."""
    job = Job(*arguments, **settings)
    code = job.wait()
    expect(code < 128 and "Segmentation" not in job.output(), f"a crash ({code}):\n{job.output()[-3000:]}")
    return code, job.output()


def killed(build, work, program, options, ranks, kills):
    """A job that takes snapshots is killed and restarted so often, and ends as the undisturbed one, bit for bit. Returns the paths of
    its snapshots. options(steps, out): those of the program, which protects its `step`, and writes its end to the file `out`."""
    reference, out, directory = f"{work}/reference", f"{work}/out", f"{work}/ckpt"

    def start(steps, out, **settings):
        return Job(build, work, program, [str(o) for o in options(steps, out)], ranks, LOG="info", **settings)

    def whole(*arguments, **settings):
        job = start(*arguments, **settings)
        code = job.wait()
        expect(code == 0, f"failed ({code}):\n{job.output()[-3000:]}")
        return job.output()

    for kill in range(kills):
        job = start(100000000, out, INTERVAL=0.02, KEEP=0, RESTART="auto" if kill else "never")
        job.wait_for_snapshots(len(snapshots(directory)) + random.randint(1, 4))
        job.end()
        expect(kill == 0 or restarted_from(job.output()), f"no restart:\n{job.output()[-3000:]}")
    paths = snapshots(directory)
    with h5py.File(paths[-1]) as f:
        steps = int(max(f["state/step"])) + 100
    output = whole(steps, out)
    whole(steps, reference, RESTART="never")
    expect(restarted_from(output) and same(reference, out), f"another result after restarts:\n{output[-3000:]}")
    return paths


def snapshots(directory):
    """Complete snapshots, by number."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    return [os.path.join(directory, n) for n in sorted(names) if re.fullmatch(r"wavecut-\d+\.h5", n)]


def wavecut(build, *arguments):
    return subprocess.run([os.path.join(build, "bin/wavecut"), *arguments], capture_output=True, text=True)


def info(build, path):
    return json.loads(wavecut(build, "info", "--json", path).stdout)


def same(a, b):
    with open(a, "rb") as x, open(b, "rb") as y:
        return x.read() == y.read()


def restarted_from(output):
    found = re.search(r"restarted from (\S+)", output)
    return found and found.group(1)


def main(test, description):
    """Runs test(build, work) in a directory that is removed afterwards. sys.argv: BUILD."""
    print(description, flush=True)
    work = tempfile.mkdtemp(prefix="wavecut-fault-")
    try:
        test(os.path.abspath(sys.argv[1]), work)
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
    finally:
        shutil.rmtree(work)
