# SPDX-License-Identifier: BSD-3-Clause
"""Protects arrays that nothing else refers to, asks for one snapshot when it starts afresh, and compares what comes back."""
import gc
import os
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
    wavecut.protect_array("table", table, (2 * MPI.COMM_WORLD.size, 3), (2 * RANK, 0))
    wavecut.protect("gone", table)
    wavecut.unprotect("gone")
    assert wavecut.stored("gone") is None
    gc.collect()
    rest = [np.full(1 << 10, 0xAA, np.uint8) for _ in range(200)]  # what was freed is overwritten
    assert len(rest) == 200


def until_snapshot(name):
    """Steps until the snapshot is there, for all ranks alike."""
    wavecut.request()
    while not MPI.COMM_WORLD.bcast(os.path.exists(name)):
        wavecut.safepoint()
        time.sleep(0.001)


def main():
    wavecut.init()
    wavecut.cut(wavecut.ALIGNED)
    table = np.arange(6.0).reshape(2, 3) + 6 * RANK
    expected = table.copy()
    protect_all(table)
    if wavecut.stored("table"):
        table[...] = -1
    if wavecut.restore():
        for name in arrays.NAMES:
            # The only reference to it is the module's.
            assert np.array_equal(wavecut._protected[name], arrays.make(name, RANK)), name
        assert np.array_equal(table, expected), table
    else:
        until_snapshot(os.path.join(os.environ["WAVECUT_DIR"], "wavecut-000001.h5"))
    wavecut.finalize()


main()
