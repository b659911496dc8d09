# SPDX-License-Identifier: BSD-3-Clause
"""suite.py DIRECTORY MODULE MODE OUT: one module of mpi4py's tests on this rank, with its results in OUT-<rank>, a line for each
test. MODE: plain (nothing is done for Wavecut), aligned, immediate: a safe point before each test, and snapshots as WAVECUT_*
ask for them."""
import sys
import unittest

import mpi4py

mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI

# Names of tests that come last: after them (a cancelled send, a communicator from no other one) there are no snapshots.
LAST = ("Cancel", "FromGroup")


class Lines(unittest.TestResult):
    """Writes each result when it is known: a crash leaves those before it."""

    def __init__(self, out, before_test):
        super().__init__()
        self.out, self.before_test = out, before_test

    def line(self, test, what):
        print(f"{test.id()} {what}", file=self.out, flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.before_test()
        self.line(test, "started")

    def addSuccess(self, test):
        self.line(test, "ok")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.line(test, "FAILED")
        print(self.failures[-1][1], file=sys.stderr, flush=True)

    def addError(self, test, error):
        super().addError(test, error)
        self.line(test, "ERROR")
        print(self.errors[-1][1], file=sys.stderr, flush=True)

    def addSkip(self, test, reason):
        self.line(test, "skipped")


def all_of(suite):
    for test in suite:
        yield from all_of(test) if isinstance(test, unittest.TestSuite) else [test]


def main(directory, module, mode, out):
    sys.dont_write_bytecode = True
    sys.path.insert(0, directory)
    sys.modules["cupy"] = sys.modules["numba"] = None
    before_test = lambda: None
    if mode != "plain":
        import wavecut_mpi as wavecut
        wavecut.init()
        wavecut.cut(wavecut.IMMEDIATE if mode == "immediate" else wavecut.ALIGNED)
        wavecut.restore()
        before_test = wavecut.safepoint
    tests = unittest.defaultTestLoader.loadTestsFromName(module)
    tests = unittest.TestSuite(sorted(all_of(tests), key=lambda test: any(name in test.id() for name in LAST)))
    with open(f"{out}-{MPI.COMM_WORLD.rank}", "w") as f:
        tests.run(Lines(f, before_test))
    if mode != "plain":
        wavecut.finalize()


if __name__ == "__main__":
    main(*sys.argv[1:])
