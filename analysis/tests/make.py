# SPDX-License-Identifier: BSD-3-Clause
"""Writes snapshots as src/store/FORMAT.md describes them, with h5py, and scenarios of events to write them of."""
import os
import struct

import h5py
import numpy as np

from wavecut import trailer
from wavecut.trace import ARMED, CLOSED, MARKER_RECEIVED, MARKER_SENT, RECEIVE, RECORD, SEND

RANKS = np.dtype([("rank", "<u4"), ("pid", "<u4"), ("step", "<u8"), ("bytes", "<u8"), ("record_time", "<f8"), ("arm_s", "<f8"),
                  ("record_s", "<f8"), ("close_s", "<f8"), ("durable_s", "<f8"), ("stall_s", "<f8"), ("host", h5py.string_dtype("utf-8", 64))])
COMMUNICATORS = np.dtype([("uid", "<u8"), ("parent_uid", "<u8"), ("ordinal", "<u8"), ("colour", "<i8"), ("collectives", "<u8"),
                          ("members_first", "<u8"), ("members_count", "<u8"), ("how", h5py.string_dtype("utf-8", 16))])
COUNTERS = np.dtype([("comm", "<u8"), ("source", "<u4"), ("destination", "<u4"), ("sent", "<u8"), ("received", "<u8"), ("in_flight", "<u8")])
MESSAGES = np.dtype([("comm", "<u8"), ("source", "<u4"), ("destination", "<u4"), ("tag", "<i4"), ("reserved", "<u4"), ("sequence", "<u8"),
                     ("bytes", "<u8"), ("offset", "<u8"), ("checksum", "<u8")])
EVENTS = np.dtype([("rank", "<u4"), ("kind", "<u4"), ("peer", "<u4"), ("tag", "<i4"), ("comm", "<u8"), ("sequence", "<u8"), ("bytes", "<u8"),
                   ("time", "<f8")])
TRACE_INDEX = np.dtype([("first", "<u8"), ("count", "<u8"), ("dropped", "<u8")])
STREAMS = np.dtype([("rank", "<u4"), ("kind", "<u4"), ("peer", "<u4"), ("tag", "<i4"), ("comm", "<u8"), ("count", "<u8")])
NOW = 1764000000.0
ATTEMPT = 1


def hashes(data):
    return [trailer.xxh3([data[i:i + trailer.BLOCK]]) for i in range(0, len(data), trailer.BLOCK)]


def checksum(data):
    return trailer.xxh3([struct.pack(f"<{len(hashes(data))}Q", *hashes(data))]) if data else 0


class Global:
    """A global array in boxes: (offset, shape) of each rank, or None."""

    def __init__(self, values, boxes):
        self.values, self.boxes = np.asarray(values), boxes


def rows(values, ranks):
    """A global array, split evenly along its first axis."""
    edges = np.linspace(0, len(values), ranks + 1).astype(int)
    return Global(values, [((int(a),) + (0,) * (values.ndim - 1), (int(b - a),) + values.shape[1:]) for a, b in zip(edges, edges[1:])])


def _array(file, name, what, ranks):
    is_global = isinstance(what, Global)
    if is_global:
        parts = [None if box is None else what.values[tuple(slice(o, o + n) for o, n in zip(*box))] for box in what.boxes]
        data = file.create_dataset(f"state/{name}", data=what.values)
        data.attrs["global"] = np.uint64(1)
    else:
        parts = what
        data = file.create_dataset(f"state/{name}", data=np.concatenate([p for p in parts if p is not None]))
    n = data.ndim
    index = np.zeros(ranks, [("first", "<u8"), ("count", "<u8"), ("checksum", "<u8"), ("present", "<u8"), ("blocks_first", "<u8")]
                     + ([("offset", "<u8", (n,)), ("shape", "<u8", (n,))] if is_global else []))
    blocks, first = [], 0
    for rank, part in enumerate(parts):
        row = index[rank]
        row["blocks_first"], row["first"] = len(blocks), first
        if part is None:
            continue
        raw = np.ascontiguousarray(part).tobytes()
        row["count"], row["present"], row["checksum"] = part.size, 1, checksum(raw)
        blocks += hashes(raw)
        if is_global:
            row["offset"], row["shape"] = what.boxes[rank]
            row["first"] = np.ravel_multi_index(what.boxes[rank][0], what.values.shape) if part.size else 0
        first += part.size
    file[f"index/{name}"], file[f"blocks/{name}"] = index, np.array(blocks, "<u8")


def datasets(group):
    """All datasets in a group and its groups."""
    found = []
    group.visititems(lambda name, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return found


def seal(path, version=trailer.VERSION):
    """Appends the trailer to an HDF5 file."""
    with h5py.File(path, "r") as file:
        extents = sorted((d.id.get_offset(), d.id.get_storage_size(), 0 if d.name.startswith("/state/") or d.name == "/channels/payload" else 1)
                         for d in datasets(file) if d.name != "/program" and d.id.get_offset() is not None and d.id.get_storage_size())
    end, at, metadata, tables = os.path.getsize(path), 0, b"", []
    with open(path, "rb") as file:  # not all of it: it may be large and sparse
        for offset, size, kind in extents + [(end, 0, 0)]:
            metadata += os.pread(file.fileno(), offset - at, at)
            at = offset + size
            tables += hashes(os.pread(file.fileno(), size, offset)) if kind else []
    words = [version, end, trailer.xxh3([metadata]), len(extents), len(tables)] + [n for e in extents for n in e] + tables
    body = b"WAVECUT\x1a" + struct.pack(f"<{len(words)}Q", *words)
    with open(path, "ab") as file:
        file.write(body + struct.pack("<2Q", trailer.xxh3([body]), len(body) + 16))


def write(path, ranks=3, state=None, counters=(), messages=(), events=None, streams=(), id=1, parent=0, run=0xABCDEF, time=NOW, phases=None, cut="immediate",
          program="./program --fast", host="node", dropped=0, version=trailer.VERSION, change=None):
    """A snapshot. state: name to Global, or to a list of the part of each rank (None: not protected there); counters: rows (comm, source,
    destination, sent, received, in_flight); messages: (comm, source, destination, tag, bytes); events: of a Scenario; change: a function that
    gets the open HDF5 file before it is sealed."""
    with h5py.File(path, "w", libver=("v108", "v108"), alignment_threshold=4096, alignment_interval=4096) as file:
        for name, value in (("format", version), ("complete", 1), ("id", id), ("parent_id", parent), ("run_id", run), ("ranks", ranks),
                            ("initiator", 0)):
            file.attrs[name] = np.uint64(value)
        file.attrs["time"] = np.float64(time)
        utc = str(np.datetime64(int(time * 1000), "ms")) + "Z"
        for name, value in (("utc", utc), ("cut", cut), ("mpi_library", "Open MPI v4.1.4, a test"), ("wavecut", "0.9.0")):
            file.attrs.create(name, value.encode(), dtype=h5py.string_dtype("utf-8", len(value.encode()) or 1))
        file.create_dataset("program", data=program.encode(), dtype=h5py.string_dtype("utf-8", len(program.encode()) or 1))
        for group in ("state", "index", "blocks"):
            file.create_group(group)
        for name, what in (state if state is not None else {"step": [np.array([7])] * ranks}).items():
            _array(file, name, what, ranks)
        table = np.zeros(ranks, RANKS)
        for rank in range(ranks):
            arm, record, close, durable, stall = phases[rank] if phases else (0.001, 0.002 + 0.001 * rank, 0.01, 0.05, 0.0005)
            table[rank] = (rank, 100 + rank, 7, 8, time + record, arm, record, close, durable, stall, host.encode())
        file["ranks"] = table
        file["communicators"] = np.array([(1, 0, 0, 0, 0, 0, ranks, b"world")], COMMUNICATORS)
        file["communicator_members"] = np.arange(ranks, dtype="<u4")
        file["channels/counters"] = np.array(list(counters), COUNTERS)
        _messages(file, messages)
        if events is not None:
            file["trace/events"] = events
            counts = np.bincount(events["rank"], minlength=ranks)
            file["trace/index"] = np.array([(f, c, dropped) for f, c in zip(np.cumsum(counts) - counts, counts)], TRACE_INDEX)
            file["trace/streams"] = np.array(list(streams), STREAMS)
        if change:
            change(file)
    seal(path, version)
    return str(path)


def _messages(file, messages):
    table, payload, sequence = np.zeros(len(messages), MESSAGES), b"", {}
    for row, (comm, source, destination, tag, data) in zip(table, messages):
        number = sequence.get((comm, source, destination), 0)
        sequence[comm, source, destination] = number + 1
        for name, value in (("comm", comm), ("source", source), ("destination", destination), ("tag", tag), ("sequence", number),
                            ("bytes", len(data)), ("offset", len(payload)), ("checksum", checksum(data))):
            row[name] = value
        payload += data
    file["channels/messages"], file["channels/payload"] = table, np.frombuffer(payload, "u1")


class Scenario:
    """Events of some ranks, a millisecond after each other. From them follow the counters and the messages of the snapshot."""

    def __init__(self, ranks):
        self.ranks, self._events, self._sent, self._got, self._recorded, self._time = ranks, [[] for _ in range(ranks)], {}, {}, set(), NOW
        self._before, self._cross, self._in = {}, {}, {}

    def _add(self, rank, kind, peer=None, tag=-1, comm=0, sequence=ATTEMPT, size=0):
        self._time += 0.001
        self._events[rank].append((rank, kind, rank if peer is None else peer, tag, comm, sequence, size, self._time))

    def send(self, source, destination, tag=0):
        key = source, destination, tag
        self._sent[key] = self._sent.get(key, 0) + 1
        self._add(source, SEND, destination, tag, 1, self._sent[key] - 1, 8)
        if source not in self._recorded:
            self._before[key] = self._before.get(key, 0) + 1

    def receive(self, source, destination, tag=0):
        key = source, destination, tag
        self._got[key] = self._got.get(key, 0) + 1
        self._add(destination, RECEIVE, source, tag, 1, self._got[key] - 1, 8)
        if destination not in self._recorded:
            self._in[key] = self._in.get(key, 0) + 1

    def marker(self, source, destination, arrives=False):
        self._add(*((destination, MARKER_RECEIVED, source) if arrives else (source, MARKER_SENT, destination)), comm=1)

    def arm(self, rank):
        self._add(rank, ARMED)

    def record(self, rank, *markers):
        self._add(rank, RECORD)
        self._recorded.add(rank)
        for peer in markers:
            self.marker(rank, peer)

    def close(self, rank):
        self._add(rank, CLOSED)

    def contents(self):
        """Options of write()."""
        channels, messages = {}, []
        for key in sorted(self._before.keys() | self._in.keys()):
            source, destination, tag = key
            sent, received = self._before.get(key, 0), self._in.get(key, 0)
            total = channels.setdefault((source, destination), [0, 0, 0])
            for i, n in enumerate((sent, received, max(sent - received, 0))):
                total[i] += n
            messages += [(1, source, destination, tag, bytes([65 + tag]) * 8)] * max(sent - received, 0)
        counters = [(1, source, destination, *total) for (source, destination), total in sorted(channels.items())]
        messages.sort(key=lambda m: m[1:3])
        events = np.array([tuple(e) for of_rank in self._events for e in of_rank], EVENTS)
        streams = [(source, 1, destination, tag, 1, n) for (source, destination, tag), n in self._before.items()] + [
            (destination, 2, source, tag, 1, n) for (source, destination, tag), n in self._in.items()]
        return {"ranks": self.ranks, "counters": counters, "messages": messages, "events": events, "streams": streams}


def notes():
    """The scenario that the notes draw: p1 initiates; m3 and m5 are recorded at p1, m4 at p2, nothing at p3; m6 and m7 are not recorded."""
    p1, p2, p3 = range(3)
    s = Scenario(3)
    for source, destination, tag in ((p1, p2, 1), (p2, p3, 2)):
        s.send(source, destination, tag)
        s.receive(source, destination, tag)
    s.send(p2, p1, 3)
    s.send(p3, p2, 4)
    s.send(p3, p1, 5)
    s.record(p1, p2)
    s.send(p1, p2, 6)
    s.receive(p2, p1, 3)
    s.marker(p1, p2, arrives=True)
    s.record(p2, p1, p3)
    s.send(p2, p3, 7)
    s.receive(p3, p2, 4)
    s.receive(p3, p1, 5)
    s.receive(p1, p2, 6)
    s.marker(p2, p3, arrives=True)
    s.record(p3, p1, p2)
    s.receive(p2, p3, 7)
    for source, destination in ((p2, p1), (p3, p1), (p3, p2)):
        s.marker(source, destination, arrives=True)
    for rank in range(3):
        s.close(rank)
    return s
