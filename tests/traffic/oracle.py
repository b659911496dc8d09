#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judges snapshots of the traffic programs from the files alone.

Each message carries its channel and its number on it, each rank's protected state says what it had sent and received at
its record. For each channel, what was sent before the sender's record must be what was received before the receiver's,
and what the file holds as in flight: as sets, none twice, and in flight in the order in which it can be received.

usage: oracle.py DIR...      prints one line; exit code 1 if any snapshot is wrong
"""
import glob
import os
import sys

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
import h5py  # noqa: E402
import numpy as np  # noqa: E402

COMMS, RANKS, MESSAGES = 5, 8, 1 << 14  # as in traffic.h
HEAD = np.dtype([("comm", "u4"), ("source", "u4"), ("destination", "u4"), ("tag", "u4"), ("sequence", "u8"),
                 ("bytes", "u4"), ("token", "u4"), ("hops", "u4"), ("reserved", "u4")])


def in_flight(f, wrong):
    """Per channel (comm, source, destination): the heads of its messages, in the order of the file."""
    channels = {}
    payload = f["channels/payload"][:]
    for row in f["channels/messages"][:]:
        data = payload[row["offset"]:row["offset"] + row["bytes"]].tobytes()
        head = np.frombuffer(data[:HEAD.itemsize].ljust(HEAD.itemsize, b"\0"), HEAD)[0]
        fields = ("source", "destination", "tag", "bytes")
        if any(head[name] != row[name] for name in fields):
            wrong.append(f"{f.filename}: the row of a message says {[int(row[n]) for n in fields]}, not what it was sent as")
            continue
        channel = (int(head["comm"]), int(head["source"]), int(head["destination"]))
        channels.setdefault(channel, []).append(head)
    return channels


def judge(path):
    """What is wrong with one snapshot, and how many messages it holds in flight."""
    wrong = []
    with h5py.File(path, "r") as f:
        ranks = int(f.attrs["ranks"])
        sent = f["state/sent"][:].reshape(ranks, COMMS, RANKS)
        got = f["state/got"][:].reshape(ranks, COMMS, RANKS, MESSAGES // 8)
        channels = in_flight(f, wrong)
    messages = sum(len(c) for c in channels.values())
    for comm in range(COMMS):
        for s in range(ranks):
            for d in range(ranks):
                before = int(sent[s, comm, d])
                bits = np.unpackbits(got[d, comm, s], bitorder="little")
                received = set(np.flatnonzero(bits).tolist())
                heads = channels.pop((comm, s, d), [])
                flying = [int(h["sequence"]) for h in heads]
                name = f"{os.path.basename(path)}: comm {comm} {s}->{d}"
                if len(set(flying)) != len(flying):
                    wrong.append(f"{name}: a message is in flight twice")
                if received & set(flying):
                    wrong.append(f"{name}: received and in flight: {sorted(received & set(flying))[:5]}")
                orphans = (received | set(flying)) - set(range(before))
                if orphans:
                    wrong.append(f"{name}: not sent yet: {sorted(orphans)[:5]}")
                lost = set(range(before)) - received - set(flying)
                if lost:
                    wrong.append(f"{name}: lost: {sorted(lost)[:5]}")
                for tag in {int(h["tag"]) for h in heads}:
                    numbers = [int(h["sequence"]) for h in heads if h["tag"] == tag]
                    if numbers != sorted(numbers):
                        wrong.append(f"{name}: tag {tag} is out of order: {numbers[:8]}")
    if channels:
        wrong.append(f"{path}: messages on channels that don't exist: {list(channels)[:3]}")
    return wrong, messages


def main(dirs):
    snapshots, flying, wrong = 0, 0, []
    for directory in dirs:
        for path in sorted(glob.glob(os.path.join(directory, "wavecut-*.h5"))):
            found, messages = judge(path)
            wrong += found
            flying += messages
            snapshots += 1
    for text in wrong[:10]:
        print(text)
    print(f"oracle: {snapshots} snapshots, {flying} messages in flight, {len(wrong)} violations")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
