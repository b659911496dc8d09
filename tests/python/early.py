# SPDX-License-Identifier: BSD-3-Clause
"""early.py aligned|immediate COLUMNS STEPS OUT: a ring of ranks that pass on a row in each step. At a safe point the receive for the
next one is posted, into a row of a protected array, the message is under way, the send of the last one is not completed; and a receive
for rank 0's last word is open from the beginning to the end. Beside it a dictionary grows, which is saved by functions."""
import pickle
import sys

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI
import wavecut_mpi as wavecut

MODE, COLUMNS, STEPS, OUT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
COMM = MPI.COMM_WORLD
EDGE, LAST_WORD = 5, 99

u = np.full((5, COLUMNS), float(COMM.rank))  # row 0 is the one of the rank before
sent = np.empty(COLUMNS)
step, word = np.zeros(1, int), np.zeros(1, int)
halo, last = [MPI.REQUEST_NULL] * 2, [MPI.REQUEST_NULL]  # halo: receive, send
history = {}


def exchange():
    sent[:] = u[-1]
    halo[0] = COMM.Irecv(u[0], (COMM.rank - 1) % COMM.size, EDGE)
    halo[1] = COMM.Isend(sent, (COMM.rank + 1) % COMM.size, EDGE)


def begin():
    wavecut.init()
    wavecut.cut(wavecut.IMMEDIATE if MODE == "immediate" else wavecut.ALIGNED)
    for name, array in ("u", u), ("step", step), ("word", word):
        wavecut.protect(name, array)
    wavecut.protect_requests("halo", halo)
    wavecut.protect_requests("last", last)
    wavecut.protect_callback("history", lambda: pickle.dumps(history), lambda saved: history.update(pickle.loads(saved)))
    if wavecut.restore():
        assert [bool(r) for r in halo + last] == [True, False, True] and len(history) == step[0] // 20
    else:
        last[0] = COMM.Irecv(word, MPI.ANY_SOURCE, LAST_WORD)
        exchange()
    assert not MPI.REQUEST_NULL


def work():
    assert MPI.Request.Waitany(halo[:1]) == 0 and not halo[0]
    u[1:] = 0.5 * u[1:] + 0.3 * np.roll(u[1:], 1, 1) + 0.2 * u[:-1] + 0.001 * (step[0] % 7)
    step[0] += 1
    if step[0] % 20 == 0:
        history[int(step[0])] = float(u[-1].sum())
    halo[1].Wait()
    exchange()


def end():
    MPI.Request.Waitall(halo)
    for to in range(COMM.size if COMM.rank == 0 else 0):
        COMM.Send(step + 1000, to, LAST_WORD)
    last[0].Wait()
    assert word[0] == step[0] + 1000
    parts = COMM.gather((u, step, word, history))
    if parts:
        with open(OUT, "wb") as f:
            pickle.dump(parts, f)
    wavecut.finalize()


begin()
while step[0] < STEPS:
    wavecut.safepoint()
    work()
end()
