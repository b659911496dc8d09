# SPDX-License-Identifier: BSD-3-Clause
"""What can't be done is refused, with a reason in the exception, and leaves what was protected before."""
import mpi4py
import numpy as np

mpi4py.rc.thread_level = "serialized"
from mpi4py import MPI
import wavecut_mpi as wavecut


def refused(kind, text, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        assert text in str(error), (text, str(error))
        return error
    raise AssertionError(f"not refused: {text}")


READ_ONLY = np.zeros(3)
READ_ONLY.flags.writeable = False
ARRAYS = [
    (TypeError, "only a numpy.ndarray", [1, 2]),
    (TypeError, "only a numpy.ndarray", np.float64(1)),
    (TypeError, "MaskedArray", np.ma.zeros(3)),
    (TypeError, "array of object", np.array([None])),
    (TypeError, "array of <U3", np.array(["abc"])),
    (TypeError, "array of datetime64", np.zeros(2, "datetime64[s]")),
    (TypeError, "array of float16", np.zeros(2, np.float16)),
    (TypeError, "array of [('a'", np.zeros(2, [("a", int)])),
    (TypeError, "machine's byte order", np.zeros(2, ">f8")),
    (ValueError, "not contiguous", np.zeros(6)[::2]),
    (ValueError, "transpose", np.zeros((2, 3), order="F")),
    (ValueError, "read-only", READ_ONLY),
]

error = refused(wavecut.Error, "belongs between wavecut_init and", wavecut.protect, "u", np.zeros(3))
assert error.name == "WAVECUT_ERR_ORDER" and error.status == 2
wavecut.init()
kept = np.zeros(3)
wavecut.protect("u", kept)
for kind, text, array in ARRAYS:
    refused(kind, text, wavecut.protect, "u", array)
    refused(kind, text, wavecut.protect_array, "u", array, (2, 3), (0, 0))
assert wavecut._protected["u"] is kept
wavecut.protect("transposed", np.zeros((2, 3), order="F").T)
refused(wavecut.Error, "is no name", wavecut.protect, "no blanks", np.zeros(3))
refused(ValueError, "null", wavecut.protect, "u\0", np.zeros(3))
refused(ValueError, "has 1 dimensions, the shape of the whole 2", wavecut.protect_array, "v", np.zeros(3), (3, 3), (0, 0))
refused(ValueError, "the offset 2", wavecut.protect_array, "v", np.zeros(3), (3,), (0, 0))
refused(ValueError, "has 0 dimensions", wavecut.protect_array, "v", np.zeros(()), (), ())
refused(wavecut.Error, "outside the global array", wavecut.protect_array, "v", np.zeros(3), (4,), (-1,))
assert "v" not in wavecut._protected
refused(TypeError, "in a list, not in a tuple", wavecut.protect_requests, "r", (MPI.REQUEST_NULL,))
refused(wavecut.Error, "is no name", wavecut.protect_requests, "no blanks", [])
refused(wavecut.Error, "is no name", wavecut.protect_callback, "no blanks", bytes, bytes)
assert "r" not in wavecut._requests and "no blanks" not in wavecut._protected
refused(wavecut.Error, "v", wavecut.unprotect, "v")
refused(wavecut.Error, "not protected", wavecut.hint, "v", wavecut.STABLE)
refused(wavecut.Error, "not 5", wavecut.hint, "u", 5)
refused(wavecut.Error, "WAVECUT_ALIGNED or WAVECUT_IMMEDIATE", wavecut.cut, 7)
refused(wavecut.Error, "belongs between wavecut_restore", wavecut.safepoint)
requests = [MPI.REQUEST_NULL]
wavecut.protect_requests("r", requests)
assert not wavecut.restore()
requests.append(MPI.REQUEST_NULL)
refused(ValueError, "2 requests are in the list, of which 1 are protected", wavecut.safepoint)
requests[:] = [None]
refused(TypeError, "number 0 of the list is no request, but NoneType", wavecut.safepoint)
wavecut.protect("r", np.zeros(1))
wavecut.safepoint()
wavecut.protect_requests("r", requests)
wavecut.unprotect("r")
wavecut.safepoint()
wavecut.finalize()
refused(wavecut.Error, "one run per process", wavecut.init)
