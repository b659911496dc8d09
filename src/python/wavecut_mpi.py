# SPDX-License-Identifier: BSD-3-Clause
"""The calls of wavecut.h for programs of mpi4py and numpy.

Each function does what its namesake in wavecut.h says, and is collective or local as it is there. The library has to be
preloaded, since it must stand before MPI:

    mpirun -x LD_PRELOAD=PREFIX/lib/libwavecut-openmpi.so -x PYTHONPATH=PREFIX/lib/wavecut/python python3 program.py

What fails raises Error with the library's own text.
"""
import ctypes
import traceback

import numpy as np
from mpi4py import MPI

ALIGNED, IMMEDIATE = 0, 1
NO_HINT, STABLE = 0, 1
_NOT_FOUND = 6

_library = ctypes.CDLL(None)  # whatever stands before MPI in this process
if not hasattr(_library, "wavecut_init"):
    raise ImportError("wavecut_mpi: no Wavecut in this process: start it with LD_PRELOAD=.../libwavecut-openmpi.so, "
                      "or the library of another MPI that mpi4py is built for")
_library.wavecut_error_text.restype = ctypes.c_char_p
_library.wavecut_status_name.restype = ctypes.c_char_p

# A handle of MPI is an address in one MPI and a number in another one.
_Handle = ctypes.c_void_p if MPI._sizeof(MPI.Comm) == ctypes.sizeof(ctypes.c_void_p) else ctypes.c_int


def _handle(thing):
    return _Handle.from_address(MPI._addressof(thing))


# By kind and bytes, as in numpy.dtype.str.
_TYPES = {
    "b1": MPI.C_BOOL, "V1": MPI.BYTE,
    "i1": MPI.INT8_T, "i2": MPI.INT16_T, "i4": MPI.INT32_T, "i8": MPI.INT64_T,
    "u1": MPI.UINT8_T, "u2": MPI.UINT16_T, "u4": MPI.UINT32_T, "u8": MPI.UINT64_T,
    "f4": MPI.FLOAT, "f8": MPI.DOUBLE, np.dtype(np.longdouble).str[1:]: MPI.LONG_DOUBLE,
    "c8": MPI.C_FLOAT_COMPLEX, "c16": MPI.C_DOUBLE_COMPLEX, np.dtype(np.clongdouble).str[1:]: MPI.C_LONG_DOUBLE_COMPLEX,
}
_protected = {}  # keeps alive what the library may use until it is unprotected or replaced
_requests = {}  # by name: a list of requests, and the handles in it where the library looks for them


class Error(RuntimeError):
    """A call failed. status: the number, name: the name in wavecut.h."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.name = _library.wavecut_status_name(status).decode()


def _check(status):
    if status:
        raise Error(status, _library.wavecut_error_text().decode(errors="replace"))


def _name(name):
    if "\0" in name:
        raise ValueError(f"{name!r}: a null character in a name")
    return name.encode()


def _memory(name, array):
    """Address and MPI datatype of an array that the library can save and fill where it is."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f'"{name}": only a numpy.ndarray can be protected, not {type(array).__name__}')
    if array.dtype.str[1:] not in _TYPES or not array.dtype.isnative:
        raise TypeError(f'"{name}": an array of {array.dtype} can\'t be protected; logical, integer, floating-point and complex '
                        "numbers in the machine's byte order can")
    if not array.flags.c_contiguous:
        raise ValueError(f'"{name}": the array is not contiguous in C order; protect the array that it is a view of '
                         "(of one in Fortran order, its transpose .T)")
    if not array.flags.writeable:
        raise ValueError(f'"{name}": the array is read-only, and a restart has to fill it')
    return ctypes.c_void_p(array.ctypes.data), _handle(_TYPES[array.dtype.str[1:]])


def init(comm=MPI.COMM_WORLD):
    """Starts checkpointing for the ranks of `comm`."""
    _check(_library.wavecut_init(_handle(comm)))


def cut(mode):
    """ALIGNED, the default, or IMMEDIATE."""
    _check(_library.wavecut_cut(ctypes.c_int(mode)))


def protect(name, array):
    """Protects a numpy array under `name`; a variable that changes is an array of one element. The array is kept alive, and
    only what is changed in place is saved: protect it again if another one takes its place."""
    address, datatype = _memory(name, array)
    _check(_library.wavecut_protect(_name(name), address, ctypes.c_size_t(array.size), datatype))
    _keep(name, array)


def protect_array(name, array, shape, offset):
    """Protects this rank's part of a global array of that shape; it begins at `offset`, of as many numbers."""
    address, datatype = _memory(name, array)
    if not array.ndim == len(shape) == len(offset) > 0:
        raise ValueError(f'"{name}": the array has {array.ndim} dimensions, the shape of the whole {len(shape)}, '
                         f"the offset {len(offset)}")
    sizes = ctypes.c_size_t * array.ndim
    _check(_library.wavecut_protect_array(_name(name), address, datatype, ctypes.c_int(array.ndim), sizes(*shape),
                                          sizes(*array.shape), sizes(*offset)))
    _keep(name, array)


def hint(name, kind):
    """NO_HINT, or STABLE: from each safe point to the next one nothing is written into the array that is protected there."""
    _check(_library.wavecut_hint(_name(name), ctypes.c_int(kind)))


class _Memory:
    """Bytes of wavecut_alloc, which go back with the last array that uses them."""

    def __init__(self, size):
        self.address = ctypes.c_void_p()
        _check(_library.wavecut_alloc(ctypes.c_size_t(size), ctypes.byref(self.address)))
        self.__array_interface__ = {"data": (self.address.value, False), "shape": (size,), "typestr": "|u1", "version": 3}

    def __del__(self):
        if self.address:
            _library.wavecut_free(self.address)


def zeros(shape, dtype=float):
    """As numpy.zeros, in memory on huge pages, of which snapshots are written fastest."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    return np.array(_Memory(count * dtype.itemsize), copy=False).view(dtype).reshape(shape)


_Save = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_Load = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def _told(function, *arguments):
    """Calls it for the library, which takes no exception: that is told on standard error. 0, or what went wrong."""
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def protect_callback(name, save, load):
    """Protects what is no array: save() returns it as an object of bytes (pickle.dumps makes one, or an array), load(bytes) makes it
    again. An exception in save voids the attempt, one in load fails restore(); both are told on standard error. Neither calls MPI or
    a function of this module."""
    def write(sink):
        data = np.frombuffer(save(), np.uint8)
        _library.wavecut_write(ctypes.c_void_p(sink), ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.size))  # the attempt knows

    def read(address, count):
        load(bytes((ctypes.c_char * count).from_address(address)))

    callbacks = (_Save(lambda user, sink: _told(write, sink)), _Load(lambda user, address, count: _told(read, address, count)))
    _check(_library.wavecut_protect_callback(_name(name), *callbacks, None))
    _keep(name, callbacks)


def protect_requests(name, requests):
    """Protects a list of MPI.Request: what is outstanding in it at each safe point, whichever objects it holds by then. Its length stays.
    Receives are those into protected arrays (comm.Irecv, not comm.irecv). restore() puts those into the list that are outstanding
    again; before it all are MPI.REQUEST_NULL, or persistent ones that are made again."""
    if not isinstance(requests, list):
        raise TypeError(f'"{name}": requests are protected in a list, not in a {type(requests).__name__}')
    handles = (_Handle * len(requests))()
    _check(_library.wavecut_protect_requests(_name(name), handles, ctypes.c_int(len(handles))))
    _keep(name, handles)
    _requests[name] = requests, handles


def _show_requests():
    """The library sees those of now."""
    for name, (requests, handles) in _requests.items():
        if len(requests) != len(handles):
            raise ValueError(f'"{name}": {len(requests)} requests are in the list, of which {len(handles)} are protected')
        for k, request in enumerate(requests):
            if not isinstance(request, MPI.Request):
                raise TypeError(f'"{name}": number {k} of the list is no request, but {type(request).__name__}')
            handles[k] = _handle(request)


def _take_requests():
    """The program sees those that the library has begun."""
    for requests, handles in _requests.values():
        for k, handle in enumerate(handles):
            if handle != _handle(requests[k]).value:
                requests[k] = MPI.Request()  # what is there may be MPI.REQUEST_NULL itself
                _handle(requests[k]).value = handle


def _keep(name, thing):
    _protected[name] = thing
    _requests.pop(name, None)


def unprotect(name):
    """Ends the protection of `name`."""
    _check(_library.wavecut_unprotect(_name(name)))
    del _protected[name]
    _requests.pop(name, None)


def stored(name):
    """What restore() will find under `name` for this rank: (elements, dtype), or None. The dtype is None for what numpy doesn't
    have, such as requests."""
    count, datatype = ctypes.c_size_t(), _Handle()
    status = _library.wavecut_stored(_name(name), ctypes.byref(count), ctypes.byref(datatype))
    if status == _NOT_FOUND:
        return None
    _check(status)
    kinds = [np.dtype(kind) for kind, t in _TYPES.items() if _handle(t).value == datatype.value]
    return count.value, kinds[0] if kinds else None


def restore():
    """Begins the run. True: this is a restart, and the protected arrays are filled."""
    restarted = ctypes.c_int()
    _show_requests()
    _check(_library.wavecut_restore(ctypes.byref(restarted)))
    _take_requests()
    return bool(restarted.value)


def safepoint():
    """What is protected describes this rank fully."""
    _show_requests()
    _check(_library.wavecut_safepoint())


def request():
    """Asks for a snapshot."""
    _check(_library.wavecut_request())


def finalize():
    """Ends checkpointing, before MPI.Finalize, which mpi4py calls when the program ends."""
    _check(_library.wavecut_finalize())
