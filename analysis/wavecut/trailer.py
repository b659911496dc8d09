# SPDX-License-Identifier: BSD-3-Clause
"""Reads a file safely as far as its metadata (src/store/FORMAT.md, "Reading safely"): HDF5 opens only what has passed."""
import ctypes
import os
import struct

from .errors import Damaged, NewerFormat, NotASnapshot, NotFound, NotReadable, Unfinished

VERSION = 2
BLOCK = 65536
TABLE = 1  # kind of an extent; 0 is data
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAGIC = b"WAVECUT\x1a"
_PIECE = 1 << 20
_LONGEST = 256 << 20  # bytes of a trailer: enough for ten million chunks


def _load_xxhash():
    for name in ("libxxhash.so.0", "libxxhash.dylib"):
        try:
            library = ctypes.CDLL(name)
            library.XXH3_createState.restype = ctypes.c_void_p
            library.XXH3_freeState.argtypes = library.XXH3_64bits_reset.argtypes = [ctypes.c_void_p]
            library.XXH3_64bits_update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
            library.XXH3_64bits_digest.argtypes = [ctypes.c_void_p]
            library.XXH3_64bits_digest.restype = ctypes.c_uint64
            return library
        except (OSError, AttributeError):
            continue
    return None


_library = _load_xxhash()
can_hash = _library is not None  # without the library of xxHash nothing is hashed, and only the structure is checked


def xxh3(pieces):
    """XXH3-64 of pieces of bytes, one behind the other. Needs can_hash."""
    state = _library.XXH3_createState()
    if not state:
        raise MemoryError
    try:
        _library.XXH3_64bits_reset(state)
        for piece in pieces:
            _library.XXH3_64bits_update(state, piece, len(piece))
        return _library.XXH3_64bits_digest(state)
    finally:
        _library.XXH3_freeState(state)


def _pieces(file, begin, end):
    """The bytes of a part of the file, in pieces."""
    file.seek(begin)
    while begin < end:
        piece = file.read(min(_PIECE, end - begin))
        if not piece:
            raise Damaged(f"{file.name}: it has become shorter while it was read")
        begin += len(piece)
        yield piece


def _refuse_without_trailer(file, size):
    """There is no trailer: a snapshot that was cut off or never finished, or a file of something else."""
    file.seek(0)
    head = file.read(40)
    if head[:8] != _SIGNATURE:
        raise NotASnapshot(f"{file.name}: not an HDF5 file" if head else f"{file.name}: it is empty")
    if head[8:9] in (b"\x02", b"\x03") and len(head) == 40 and struct.unpack_from("<Q", head, 28)[0] > size:
        raise Unfinished(f"{file.name}: cut off: HDF5 wants {struct.unpack_from('<Q', head, 28)[0]} bytes, and it has {size}")
    if file.name.endswith(".partial"):
        raise Unfinished(f"{file.name}: it is still being written, or its run has died")
    raise NotASnapshot(f"{file.name}: an HDF5 file without the trailer of a snapshot: of another program, or cut off")


def _read_trailer(file, size):
    """The words of the trailer, checked against each other and the size of the file."""
    file.seek(max(size - 8, 0))
    last = file.read(8)
    length = struct.unpack("<Q", last)[0] if len(last) == 8 else 0
    if length % 8 or not 64 <= length <= size:
        _refuse_without_trailer(file, size)
    file.seek(size - length)
    if file.read(8) != _MAGIC:
        _refuse_without_trailer(file, size)
    if length > _LONGEST:
        raise Damaged(f"{file.name}: a trailer of {length} bytes is too long")
    trailer = _MAGIC + file.read(length - 8)
    words = struct.unpack(f"<{length // 8}Q", trailer)
    if can_hash and xxh3([trailer[:-16]]) != words[-2]:
        raise Damaged(f"{file.name}: the trailer is damaged")
    if words[1] > VERSION:
        raise NewerFormat(f"{file.name}: format {words[1]}, and this version reads up to {VERSION}: take a newer one")
    if words[1] != VERSION:
        raise Damaged(f"{file.name}: format {words[1]} was in no release")
    if words[2] != size - length or 6 + 3 * words[4] + words[5] + 2 != len(words):
        raise Damaged(f"{file.name}: the trailer does not fit the file")
    return words


def _extents(file, words):
    """Offset, size and kind of each part that the ranks wrote."""
    end, at, extents = words[2], 0, []
    for i in range(6, 6 + 3 * words[4], 3):
        offset, size, kind = words[i:i + 3]
        if offset < at or size == 0 or size > end - offset or kind > TABLE:
            raise Damaged(f"{file.name}: the extents of the trailer overlap, or are not in the file")
        extents.append((offset, size, kind))
        at = offset + size
    return extents


def _check_hashes(file, words, extents):
    """Metadata against their hash, tables against those of their blocks."""
    def metadata():
        at = 0
        for offset, size, _ in extents + [(words[2], 0, 0)]:
            yield from _pieces(file, at, offset)
            at = offset + size
    if xxh3(metadata()) != words[3]:
        raise Damaged(f"{file.name}: the metadata are damaged")
    hashes = iter(words[6 + 3 * words[4]:-2])
    for offset, size, kind in extents:
        for begin in range(offset, offset + size, BLOCK) if kind == TABLE else ():
            if xxh3(_pieces(file, begin, min(begin + BLOCK, offset + size))) != next(hashes, None):
                raise Damaged(f"{file.name}: a table is damaged, at byte {begin}")


def check(path):
    """Raises an Error if the file is no snapshot that HDF5 may open. Arrays and messages are not read: `wavecut verify` does that."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise NotASnapshot(f"{path}: not a regular file")
        with open(path, "rb") as file:
            words = _read_trailer(file, os.fstat(file.fileno()).st_size)
            extents = _extents(file, words)
            if can_hash:
                _check_hashes(file, words, extents)
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such file") from None
    except PermissionError:
        raise NotReadable(f"{path}: no permission to read it") from None
    except OSError as error:
        raise NotReadable(f"{path}: {error.strerror or error}") from None
