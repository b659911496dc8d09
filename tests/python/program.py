# SPDX-License-Identifier: BSD-3-Clause
"""program.py [fail_to_load]: protects arrays and callbacks that nothing else refers to, asks for one snapshot when it starts afresh,
and compares what comes back. The first attempts are void, since a save() fails."""
import gc
import os
import sys
import time

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI
import wavecut_mpi as wavecut

import arrays

RANK = MPI.COMM_WORLD.rank


def protect_all(table):
    for name in arrays.NAMES:
        here = arrays.make(name, RANK)
        held = wavecut.stored(name)
        assert held in (None, (here.size, here.dtype)), (name, held)
        wavecut.protect(name, here if held is None else np.zeros(*held))
    wavecut.hint("float64", wavecut.STABLE)
    wavecut.protect_array("table", table, (2 * MPI.COMM_WORLD.size, 3), (2 * RANK, 0))
    wavecut.protect("gone", table)
    wavecut.unprotect("gone")
    assert wavecut.stored("gone") is None
    gc.collect()
    rest = [np.full(1 << 10, 0xAA, np.uint8) for _ in range(200)]  # what was freed is overwritten
    assert len(rest) == 200


# What save() may return, by name; and what it may not.
SAVED = {"bytes": b"abc\0d", "empty": b"", "bytearray": bytearray(b"xy"), "complex": np.arange(6, dtype=complex).reshape(2, 3),
         "no_elements": np.zeros((0, 3)), "view": memoryview(b"0123456789")[2:7], "large": bytes(range(256)) * 50000}
UNSAVED = ["text", None, np.arange(6)[::2]]
loaded = {}


def protect_callbacks():
    def fail_first():
        return UNSAVED.pop() if UNSAVED else b"%d" % RANK

    def load(saved):
        assert sys.argv[1:] != ["fail_to_load"], "as it was told"
        loaded["failed"] = saved
    for name, value in SAVED.items():
        wavecut.protect_callback(name, lambda value=value: value, lambda saved, name=name: loaded.update({name: saved}))
    wavecut.protect_callback("failed", fail_first, load)
    gc.collect()


def check_loaded():
    for name, value in SAVED.items():
        assert loaded[name] == np.frombuffer(value, np.uint8).tobytes(), (name, loaded[name])
    assert loaded["failed"] == b"%d" % RANK and len(loaded) == len(SAVED) + 1


def until_snapshot(name):
    """Steps until the snapshot is there, for all ranks alike."""
    wavecut.request()
    while not MPI.COMM_WORLD.bcast(os.path.exists(name)):
        wavecut.safepoint()
        time.sleep(0.001)


def main():
    wavecut.init()
    wavecut.cut(wavecut.ALIGNED)
    table = wavecut.zeros((2, 3))
    assert not table.any() and table.ctypes.data % 4096 == 0
    table[...] = np.arange(6.0).reshape(2, 3) + 6 * RANK
    expected = table.copy()
    protect_all(table)
    protect_callbacks()
    if wavecut.stored("table"):
        table[...] = -1
    if wavecut.restore():
        for name in arrays.NAMES:
            # The only reference to it is the module's.
            assert np.array_equal(wavecut._protected[name], arrays.make(name, RANK)), name
        assert np.array_equal(table, expected), table
        check_loaded()
    else:
        until_snapshot(os.path.join(os.environ["WAVECUT_DIR"], "wavecut-000001.h5"))
    wavecut.finalize()


main()
