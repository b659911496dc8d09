# SPDX-License-Identifier: BSD-3-Clause
"""A directory of snapshots."""
import os
import re
from collections import namedtuple
from datetime import datetime, timezone

from .errors import Error, NotFound, NotReadable
from .snapshot import Snapshot

_UTC = "%Y-%m-%dT%H:%M:%SZ"
_NAME = re.compile(r"wavecut-(\d{6,})\.h5")

Run = namedtuple("Run", "id program snapshots finished")
Run.__doc__ = """A run with its restarts: id, program (with its arguments), snapshots (their numbers, in order), finished (whether it is)."""


def _list(path):
    try:
        return os.listdir(path)
    except PermissionError:
        raise NotReadable(f"{path}: no permission to read the directory") from None
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None


class Directory:
    """The snapshots of a directory: directory["latest"], directory[42] by number, directory["wavecut-000042.h5"] by name. Each access
    opens the file anew. Iterates over the numbers, in order."""

    def __init__(self, path):
        self.path = os.fspath(path)
        _list(self.path)

    def _files(self):
        """Names by number. It is asked anew each time: a running job adds and removes."""
        matches = filter(None, map(_NAME.fullmatch, _list(self.path)))
        return {int(match[1]): match[0] for match in sorted(matches, key=lambda m: int(m[1]))}

    def __iter__(self):
        return iter(self._files())

    def __len__(self):
        return len(self._files())

    def __repr__(self):
        return f"<wavecut.Directory of {len(self)} snapshots: {self.path}>"

    def file(self, which):
        """The path of a snapshot that is named as in directory[which]."""
        files = self._files()
        if not files:
            raise NotFound(f"{self.path}: there is no snapshot in it")
        name = files[max(files)] if which == "latest" else files.get(which, which)
        if name not in files.values():
            raise NotFound(f"{self.path}: there is no snapshot {which}; the newest is {max(files)}")
        return os.path.join(self.path, name)

    def __getitem__(self, which):
        return Snapshot(self.file(which))

    @property
    def finished(self):
        """The number of the run that has left its mark here, or None."""
        try:
            with open(os.path.join(self.path, "finished"), encoding="ascii", errors="replace") as file:
                match = re.match(r"run ([0-9a-fA-F]{1,16})\n", file.read(100))
                return int(match[1], 16) if match else None
        except OSError:
            return None

    @property
    def history(self):
        """The seconds that this directory's jobs have been up in all, and how often one has failed (src/store/history.h)."""
        up, failures, started = 0.0, 0, None
        try:
            path = os.path.join(self.path, "history")
            with open(path, encoding="ascii", errors="replace") as file:
                lines = file.read(1 << 20).splitlines() + [f"seen {datetime.fromtimestamp(os.stat(path).st_mtime, timezone.utc):{_UTC}}"]
        except OSError:
            return up, failures
        for word, _, text in (line.partition(" ") for line in lines):
            try:
                time = datetime.strptime(text, _UTC)
            except ValueError:
                continue
            if word in ("lost", "stop", "seen") and started:
                up, started = up + max((time - started).total_seconds(), 0.0), None
                failures += word == "lost"
            elif word == "start":
                started = time
        return up, failures

    @property
    def runs(self):
        """The runs whose snapshots are here, in the order of their first ones. What can't be read is passed over."""
        runs, finished = {}, self.finished
        for number in self:
            try:
                with self[number] as snapshot:
                    run = runs.setdefault(snapshot.run_id, Run(snapshot.run_id, snapshot.program, [], snapshot.run_id == finished))
                    run.snapshots.append(number)
            except Error:
                continue
        return list(runs.values())


def open_path(path):
    """A Directory, or of a file the Snapshot. Raises an Error."""
    return Directory(path) if os.path.isdir(path) else Snapshot(path)
