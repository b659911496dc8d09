# SPDX-License-Identifier: BSD-3-Clause
"""What can be wrong with a snapshot. The text of each error names the file; `status` is the exit status of a command that fails by it."""


class Error(Exception):
    """Base of all errors of this package."""
    status = 1


class NotFound(Error):
    """No such file, directory, snapshot or array."""
    status = 3


class NotReadable(Error):
    """No permission, or the disk failed."""
    status = 4


class NotASnapshot(Error):
    """Not an HDF5 file, or one of something else."""


class Unfinished(Error):
    """Cut off, or not committed."""


class NewerFormat(Error):
    """Written by a later version of Wavecut."""


class Damaged(Error):
    """Changed after its commit, or not what FORMAT.md says."""
