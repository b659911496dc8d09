# SPDX-License-Identifier: BSD-3-Clause
"""types.py, on four ranks: takes two snapshots with arrays of every type that numpy has for them: local ones with another number
of elements on each rank, and global ones in tiles, in columns and with rows larger than a piece of `wavecut diff`. Some elements change
in between, to what is hard to compare. Messages are in flight in both."""
import glob
import os
import time

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI
import wavecut_mpi as wavecut

COMM = MPI.COMM_WORLD
RANK = COMM.rank
TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "f16", "c8", "c16", "c32", "?"]
DIRECTORY = os.environ["WAVECUT_DIR"]


def make(dtype, shape, seed):
    n = np.arange(np.prod(shape), dtype=np.int64) * 7 + 1000 * RANK + seed
    return (n % 2 == 0 if dtype == "?" else (n % 100 if dtype in ("i1", "u1") else n).astype(dtype)).reshape(shape)


def protect_boxes(name, array, shape, offset):
    wavecut.protect_array(name, array, shape, offset)
    return array


def change(arrays):
    for name, a in arrays.items():
        flat = a.reshape(-1)
        if a.dtype == bool:
            flat[RANK:: 5] ^= True
        elif a.dtype.kind in "fc":
            flat[::3] *= 1.5
            flat[1] = np.nan
            flat[4] = -flat[4]
            if RANK == 2:
                flat[5], flat[6] = np.inf, -0.0
        else:
            flat[RANK::4] += 3
            flat[7] = np.iinfo(a.dtype).max if RANK % 2 else np.iinfo(a.dtype).min
    arrays["c16"][2] = np.nan + 1j


def snapshot(number):
    if RANK == 0:
        wavecut.request()
    path = f"{DIRECTORY}/wavecut-{number:06d}.h5"
    while not COMM.allreduce(os.path.exists(path), MPI.LAND):
        COMM.send(np.arange(RANK * 100 + number, dtype="f4"), (RANK + 1) % 4, tag=number)  # in flight at the safe point
        COMM.send({"rank": RANK}, (RANK + 2) % 4, tag=9)
        wavecut.safepoint()
        COMM.recv(source=(RANK + 3) % 4, tag=number)
        COMM.recv(source=(RANK + 2) % 4, tag=9)
        time.sleep(0.001)


wavecut.init()
arrays = {t.replace("?", "bool"): make(t, 300 * RANK + 20, 5) for t in TYPES}
for name, array in arrays.items():
    wavecut.protect(name, array)
arrays["boxes/tiles"] = protect_boxes("boxes/tiles", make("f8", (100, 128), 1), (200, 256), (RANK // 2 * 100, RANK % 2 * 128))
arrays["boxes/columns"] = protect_boxes("boxes/columns", make("i4", (40, 15), 2), (40, 60), (0, RANK * 15))
arrays["boxes/wide"] = protect_boxes("boxes/wide", make("f4", (2, 3, 500000), 3), (2, 3, 2000000), (0, 0, RANK * 500000))
arrays["boxes/long"] = protect_boxes("boxes/long", make("u1", (2, 9000000 + RANK), 4), (2, 36000006),
                                     (0, RANK * 9000000 + RANK * (RANK - 1) // 2))
if RANK == 1:
    wavecut.protect("here_only", np.arange(10.0))
wavecut.protect("other_type", np.arange(6, dtype="i4"))
wavecut.protect_array("other_shape", np.zeros((2, 4)), (8, 4), (2 * RANK, 0))
wavecut.protect("goes", np.arange(3))
wavecut.restore()
snapshot(1)
change(arrays)
if RANK == 3:
    wavecut.protect("i4", np.arange(7, dtype="i4"))  # another count
for name in ("other_type", "other_shape", "goes"):
    wavecut.unprotect(name)
wavecut.protect("other_type", np.arange(6, dtype="f4"))
wavecut.protect_array("other_shape", np.zeros((4, 2)), (4, 8), (0, 2 * RANK))
wavecut.protect("comes", np.arange(3))
snapshot(2)
wavecut.finalize()
assert len(glob.glob(f"{DIRECTORY}/wavecut-*.h5")) == 2
