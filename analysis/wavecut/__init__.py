# SPDX-License-Identifier: BSD-3-Clause
"""Looks into snapshots of Wavecut, with h5py and numpy.

    import wavecut

    checkpoints = wavecut.open("wavecut-ckpt")
    for run in checkpoints.runs:
        print(run.program, run.snapshots, run.finished)
    with checkpoints["latest"] as snapshot:
        u = snapshot["u"]                # lazy: shape and dtype are known, u[2:5] reads three rows, u[...] all
        mine = u.of(rank=3)              # the part of one rank
        snapshot.messages                # in flight, a numpy array with named fields; snapshot.payload(row): the bytes
        snapshot.channels, snapshot.ranks, snapshot.communicators, snapshot.trace

What can't be read raises an Error. For programs of mpi4py that take snapshots there is the module wavecut_mpi.
"""
from .directory import Directory, Run
from .directory import open_path as open
from .errors import Damaged, Error, NewerFormat, NotASnapshot, NotFound, NotReadable, Unfinished
from .snapshot import Array, Snapshot

__all__ = ["open", "Directory", "Run", "Snapshot", "Array",
           "Error", "NotFound", "NotReadable", "NotASnapshot", "Unfinished", "NewerFormat", "Damaged"]
