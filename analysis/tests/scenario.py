# SPDX-License-Identifier: BSD-3-Clause
"""scenario.py STAGE: the scenario of the notes on three real ranks, with mpi4py. STAGE is a file through which the ranks keep the order of
make.notes(), without MPI."""
import mmap
import os
import sys
import time

import mpi4py
mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI  # noqa: E402
import wavecut_mpi as wavecut  # noqa: E402

P1, P2, P3 = range(3)
NOTHING = 99  # a tag that nobody sends
world = MPI.COMM_WORLD
me = world.rank
recorded = []


def wait_for(number):
    """For one's turn. Until the first record the ranks look for a message that never comes: that lets the library get to work. After it
    they do nothing with MPI, as a rank that computes: who looked in vain while there is a message behind a marker would give up its record."""
    while shared[0] != number:
        if shared[0] <= FIRST_RECORD:
            world.iprobe(tag=NOTHING)
        time.sleep(0.001)


def send(number):
    return lambda destination: world.Bsend(bytes([number]) * 8, destination, number)


def receive(number):
    return lambda source: world.Recv(bytearray(8), source, number)


def record():
    while not recorded:
        wavecut.safepoint()
        time.sleep(0.001)


def record_first():
    wavecut.request()
    record()


with open(sys.argv[1], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 4096)
MPI.Attach_buffer(bytearray(1 << 16))
wavecut.init(world)
wavecut.cut(wavecut.IMMEDIATE)
wavecut.protect_callback("recorded", lambda: recorded.append(1) or b"1", lambda saved: None)
wavecut.restore()
SCENARIO = [
    (P1, send(1), P2), (P2, receive(1), P1), (P2, send(2), P3), (P3, receive(2), P2),
    (P2, send(3), P1), (P3, send(4), P2), (P3, send(5), P1),
    (P1, record_first), (P1, send(6), P2), (P1, receive(3), P2),
    (P2, record), (P2, send(7), P3), (P2, receive(4), P3), (P1, receive(5), P3), (P2, receive(6), P1),
    (P3, record), (P3, receive(7), P2)]
FIRST_RECORD = [action for _, action, *_ in SCENARIO].index(record_first)
for number, (rank, action, *arguments) in enumerate(SCENARIO):
    if rank == me:
        wait_for(number)
        action(*arguments)
        shared[0] = number + 1
while not os.path.exists(os.path.join(os.environ["WAVECUT_DIR"], "wavecut-000001.h5")):
    wavecut.safepoint()
    world.iprobe(tag=NOTHING)
    time.sleep(0.001)
wavecut.finalize()
