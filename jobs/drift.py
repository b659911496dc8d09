#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Particles that drift along a ring, each rank with its arc of it: mpi4py, aligned cut.

What leaves an arc is sent in one step and received in the next one, so that at each safe point messages are in flight, and the
lengths of the arrays change in each step. It checks itself: each particle is there once, where drifting alone takes it.
"""
import argparse
import sys
import time

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"  # mpi4py asks for MPI_THREAD_MULTIPLE by default, where calls cost more
from mpi4py import MPI
import wavecut_mpi as wavecut

WORLD = MPI.COMM_WORLD
RANK, RANKS = WORLD.rank, WORLD.size
LEFT, RIGHT = (RANK - 1) % RANKS, (RANK + 1) % RANKS
TO_LEFT, TO_RIGHT = 1, 2  # tags: the way a particle goes


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="steps of time (default: %(default)s)")
    parser.add_argument("--size", type=int, default=1000, help="particles of each rank at the start (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of places and speeds (default: %(default)s)")
    parser.add_argument("--slow", type=float, default=0, help="pause in each step, in ms")
    parser.add_argument("--out", help="write the particles at the end, as doubles: number, place, speed")
    return parser.parse_args()


def all_particles(options):
    """Rows of number, place on a ring of length 1, and way in a step: less than an arc."""
    n = options.size * RANKS
    chance = np.random.Generator(np.random.PCG64(options.seed))
    return np.column_stack([np.arange(n, dtype=float), chance.random(n), chance.uniform(-0.3, 0.3, n) / RANKS])


def drift(particles):
    particles[:, 1] += particles[:, 2]
    particles[:, 1] %= 1.0


def arc_of(particles):
    return (particles[:, 1] * RANKS).astype(int) % RANKS  # a place may be rounded to 1


def send(particles, to, tag):
    WORLD.Bsend(np.ascontiguousarray(particles), to, tag)


def receive(source, tag):
    status = MPI.Status()
    WORLD.Probe(source, tag, status)
    particles = np.empty((status.Get_count(MPI.DOUBLE) // 3, 3))
    WORLD.Recv(particles, source, tag)
    return particles


def take_arrivals(here):
    return np.concatenate([here, receive(LEFT, TO_RIGHT), receive(RIGHT, TO_LEFT)])


def let_go(here):
    """Drifts, sends what has left this arc, and returns what stays."""
    forward = here[:, 2] > 0
    drift(here)
    stays = arc_of(here) == RANK
    send(here[~stays & ~forward], LEFT, TO_LEFT)
    send(here[~stays & forward], RIGHT, TO_RIGHT)
    return here[stays]


def start(options):
    """The particles here, and the number of the step, as the snapshot or a fresh start has them."""
    everything = all_particles(options)
    here = everything[arc_of(everything) == RANK]
    now = np.zeros(1, dtype=np.int64)
    wavecut.init(WORLD)
    held = wavecut.stored("particles")
    if held:
        here = np.empty((held[0] // 3, 3))
    wavecut.protect("particles", here)
    wavecut.protect("step", now)
    if wavecut.restore():
        if RANK == 0:
            print(f"drift: restarted at step {now[0]}", flush=True)
    else:  # nothing has left before the first step
        send(here[:0], LEFT, TO_LEFT)
        send(here[:0], RIGHT, TO_RIGHT)
    return here, now


def check(here, options):
    """All particles at the end, by number, on the first rank."""
    everyone = WORLD.gather(here)
    if RANK > 0:
        return None
    there = np.concatenate(everyone)
    there = there[np.argsort(there[:, 0], kind="stable")]
    expected = all_particles(options)
    for _ in range(options.steps):
        drift(expected)
    right = np.array_equal(there, expected)
    print(f"drift: {'checked' if right else 'WRONG'}: {len(there)} particles, {options.steps} steps", flush=True)
    if options.out:
        there.tofile(options.out)
    return right


def main():
    options = parse_options()
    # Two messages in each step, of all particles at the most, and those of one step are under way in the next one.
    MPI.Attach_buffer(np.empty(4 * (24 * options.size * RANKS + MPI.BSEND_OVERHEAD), dtype=np.uint8))
    here, now = start(options)
    while now[0] < options.steps:
        wavecut.safepoint()
        here = let_go(take_arrivals(here))
        now[0] += 1
        wavecut.protect("particles", here)
        time.sleep(options.slow / 1000)
    here = take_arrivals(here)
    right = WORLD.bcast(check(here, options))
    wavecut.finalize()
    MPI.Detach_buffer()
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
