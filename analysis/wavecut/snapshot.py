# SPDX-License-Identifier: BSD-3-Clause
"""One snapshot: its arrays, and its tables as numpy arrays with named fields (src/store/FORMAT.md says what each field means)."""
import os
from collections.abc import Mapping

import h5py
import numpy as np

from . import trailer
from .errors import Damaged, NotFound

_ANY = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError, OverflowError)  # what h5py raises for a file with surprises
_FIELDS = {
    "ranks": "rank pid step bytes record_time arm_s record_s close_s durable_s stall_s host",
    "communicators": "uid parent_uid ordinal colour collectives members_first members_count how",
    "channels/counters": "comm source destination sent received in_flight",
    "channels/messages": "comm source destination tag sequence bytes offset checksum",
    "trace/events": "rank kind peer tag comm sequence bytes time",
    "trace/index": "first count dropped",
    "trace/streams": "rank kind peer tag comm count",
}


def text(value):
    """A string of the file, of which any byte may be anything."""
    value = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    return value.rstrip(b"\0").decode(errors="replace") if isinstance(value, bytes) else str(value)


class Array(np.lib.mixins.NDArrayOperatorsMixin):
    """A protected array of all ranks. Lazy: `a[2:5]` reads what is asked, `a[...]` or numpy.asarray(a) all of it; what calculates with
    it reads it. Without protect_array it has one dimension: the elements of rank 0, then those of rank 1, and so on."""

    def __init__(self, snapshot, name, dataset):
        self._snapshot, self.name, self._dataset = snapshot, name, dataset
        self.shape, self.dtype, self.ndim, self.size = dataset.shape, dataset.dtype, len(dataset.shape), int(dataset.size)
        self.nbytes = self.size * self.dtype.itemsize
        self.is_global = "global" in dataset.attrs

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        try:
            return self._dataset[key]
        except (OSError, RuntimeError) as error:
            raise Damaged(f"{self._snapshot.path}: \"{self.name}\" can't be read: {error}") from None

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[...], dtype=dtype)

    def __array_ufunc__(self, function, method, *inputs, **options):
        return getattr(function, method)(*(np.asarray(i) if isinstance(i, Array) else i for i in inputs), **options)

    def __repr__(self):
        return f"<wavecut.Array \"{self.name}\": {'x'.join(map(str, self.shape))} {self.dtype}>"

    @property
    def parts(self):
        """A row for each rank: first, count, checksum, present, blocks_first, and of a global array offset and shape of its box."""
        fields = "first count checksum present blocks_first" + (" offset shape" if self.is_global else "")
        rows = self._snapshot.table(f"index/{self.name}", fields.split())
        if len(rows) != self._snapshot.size or self.is_global and rows["shape"].shape != (len(rows), self.ndim):
            raise Damaged(f"{self._snapshot.path}: the index of \"{self.name}\" does not fit it")
        return rows

    @property
    def blocks(self):
        """The hashes of the blocks of 64 KiB of all ranks: where they are equal, so are the bytes."""
        return self._snapshot.table(f"blocks/{self.name}", None)

    def of(self, rank):
        """The elements of one rank: a box of a global array, else one dimension."""
        part = self.parts[rank]
        if not self.is_global:
            return self[int(part["first"]):int(part["first"]) + int(part["count"])]
        return self[tuple(slice(int(o), int(o) + int(s)) for o, s in zip(part["offset"], part["shape"]))]


class Snapshot(Mapping):
    """A snapshot by the names of its arrays: snapshot["u"] is an Array. To be closed, or used in a `with`.

    path, bytes (of the file), id, parent_id (0: none), run_id, size (number of ranks), initiator, time (seconds since 1970), utc, cut,
    mpi_library, version (of Wavecut), program: as in the file.
    """

    def __init__(self, path):
        """Raises an Error. Metadata and tables are checked against their hashes where the library of xxHash is installed."""
        self.path = os.fspath(path)
        trailer.check(self.path)
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except _ANY as error:
            raise Damaged(f"{self.path}: HDF5 can't open it: {error}") from None
        try:
            self.bytes = os.stat(self.path).st_size
            for name in ("id", "parent_id", "run_id", "initiator", "time"):
                setattr(self, name, self._file.attrs[name].item())
            for name in ("utc", "cut", "mpi_library"):
                setattr(self, name, text(self._file.attrs[name]))
            self.size, self.version = int(self._file.attrs["ranks"]), text(self._file.attrs["wavecut"])
            self.program = text(self._dataset("program")[()])
            self._names = self._find_names()
        except _ANY as error:
            self.close()
            raise Damaged(f"{self.path}: not what a snapshot should be: {error}") from None
        except Exception:
            self.close()
            raise

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return f"<wavecut.Snapshot {self.id} of {self.size} ranks, {self.utc}: {self.path}>"

    def _dataset(self, path):
        """A dataset whose bytes lie in this file, as they are: no links elsewhere, no external storage, no filters."""
        group, _, name = path.rpartition("/")
        node = self._file
        for step in (group.split("/") if group else []) + [name]:
            if not isinstance(node.get(step, getlink=True), h5py.HardLink):
                raise Damaged(f"{self.path}: there is no /{path}")
            node = node[step]
        if not isinstance(node, h5py.Dataset):
            raise Damaged(f"{self.path}: /{path} is no dataset")
        layout = node.id.get_create_plist()
        if layout.get_external_count() or layout.get_nfilters() or layout.get_layout() == h5py.h5d.VIRTUAL:
            raise Damaged(f"{self.path}: /{path} is stored in a way that no snapshot uses")
        return node

    def _find_names(self):
        names = []
        self._file["state"].visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in names:
            self._dataset(f"state/{name}")
        return sorted(names)

    def table(self, path, fields, limit=None):
        """The rows of a table, at most `limit` of them. Raises an Error if a field is missing."""
        try:
            dataset = self._dataset(path)
            if len(dataset.shape) != 1 or fields is not None and not set(fields) <= set(dataset.dtype.names or ()):
                raise Damaged(f"{self.path}: /{path} is not the table that it should be")
            return dataset[:limit]
        except _ANY as error:
            raise Damaged(f"{self.path}: /{path} can't be read: {error}") from None

    def length(self, path):
        """How many rows a table has."""
        return int(self._dataset(path).shape[0])

    def _known(self, path, limit=None):
        return self.table(path, _FIELDS[path].split(), limit)

    def __getitem__(self, name):
        if name not in self._names:
            raise NotFound(f"{self.path}: there is no \"{name}\"; it has: {', '.join(self._names) or 'nothing'}")
        return Array(self, name, self._dataset(f"state/{name}"))

    def __contains__(self, name):
        return name in self._names

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)

    @property
    def ranks(self):
        """A row for each rank: rank, pid, step, bytes, record_time, arm_s, record_s, close_s, durable_s, stall_s, host."""
        rows = self._known("ranks")
        if len(rows) != self.size:
            raise Damaged(f"{self.path}: /ranks has {len(rows)} rows for {self.size} ranks")
        return rows

    @property
    def communicators(self):
        """A row for each communicator: uid, parent_uid, ordinal, colour, collectives, members_first, members_count, how."""
        return self._known("communicators")

    def members(self, row):
        """The ranks of a row of `communicators`, in its order."""
        first = int(row["members_first"])
        return self.table("communicator_members", None)[first:first + int(row["members_count"])]

    @property
    def channels(self):
        """A row for each used channel: comm, source, destination, sent, received (both before the cut), in_flight."""
        rows = self._known("channels/counters")
        self._check_ranks(rows, "source", "destination", "channels/counters")
        return rows

    @property
    def messages(self):
        """A row for each message in flight: comm, source, destination, tag, sequence, bytes, offset, checksum."""
        return self.first_messages(None)

    def first_messages(self, limit):
        """The first so many rows of `messages`."""
        rows = self._known("channels/messages", limit)
        self._check_ranks(rows, "source", "destination", "channels/messages")
        return rows

    def payload(self, message):
        """The bytes of a row of `messages`, as MPI packed them."""
        begin = int(message["offset"])
        return self._dataset("channels/payload")[begin:begin + int(message["bytes"])].tobytes()

    @property
    def trace(self):
        """A row for each event of the trace, rank after rank: rank, kind (see trace.py), peer, tag, comm, sequence, bytes, time. None
        if no trace was kept."""
        if "trace" not in self._file:
            return None
        events = self._known("trace/events")
        self._check_ranks(events, "rank", "peer", "trace/events")
        return events

    @property
    def trace_index(self):
        """A row for each rank: first and count of its events, and how many older ones were dropped. None if no trace was kept."""
        return self._known("trace/index") if "trace" in self._file else None

    @property
    def trace_streams(self):
        """A row for each stream and end of it: rank, kind (1 sent, 2 received), peer, tag, comm, and count, of its messages up to the
        record. None if no trace was kept."""
        return self._known("trace/streams") if "trace" in self._file else None

    def _check_ranks(self, rows, one, other, path):
        if len(rows) and max(rows[one].max(), rows[other].max()) >= self.size:
            raise Damaged(f"{self.path}: /{path} has a rank that does not exist")
