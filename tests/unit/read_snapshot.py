# SPDX-License-Identifier: BSD-3-Clause
"""Reads the snapshot of job.c as a user would, with h5py alone."""
import os
import sys

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
import h5py  # noqa: E402
import numpy as np  # noqa: E402

with h5py.File(sys.argv[1], "r") as f:
    assert int(f.attrs["ranks"]) == 3 and int(f.attrs["complete"]) == 1 and int(f.attrs["format"]) == 2
    assert f.attrs["cut"].decode() == "aligned" and f.attrs["utc"].decode() == "2025-11-23T08:09:51.250Z"
    assert f["program"][()].decode() == "./job --with arguments"

    field = f["state/field"]
    assert field.shape == (12, 700) and field.dtype == np.float64
    assert (field[:] == 5 + np.arange(12 * 700).reshape(12, 700)).all()
    assert f["state/ocean/wave"].dtype == np.complex128
    assert (f["state/ocean/wave"][5:11] == 1 + 1j * np.arange(6)).all()
    assert f["state/flags"].dtype == bool and f["state/flags"].shape == (7,)
    assert f["state/flags"][:3].tolist() == [True, False, True]
    assert f["state/particles"].dtype == np.int32 and f["state/particles"].shape == (1017,)
    assert f["state/empty"].shape == (0,) and f["state/empty"].dtype == np.float32
    assert f["state/long"].dtype == np.longdouble
    assert f["state/long"][:5].tolist() == [0.5, 1.5, 1.5, 2.5, 3.5]
    assert f["state/ocean/bytes-1.0"].shape == (6,)

    index = f["index/particles"]
    assert index.dtype.names == ("first", "count", "checksum", "present", "blocks_first")
    assert index["count"].tolist() == [0, 1000, 17] and index["first"].tolist() == [0, 0, 1000]
    assert f["index/flags"]["present"].tolist() == [1, 0, 1]
    assert f["index/field"].dtype.names[4:] == ("blocks_first", "offset", "shape")
    assert f["index/big"]["blocks_first"].tolist() == [0, 5, 10]
    assert f["blocks/big"].shape == (15,) and f["blocks/big"].dtype == np.uint64
    assert f["blocks/empty"].shape == (0,) and f["blocks/ocean/wave"].shape == (3,)

    assert f["ranks"]["host"].tolist() == [b"host-0", b"host-1", b"host-2"]
    assert f["ranks"]["pid"].tolist() == [4000, 4001, 4002]
    messages = f["channels/messages"]
    assert messages["tag"].tolist() == [7, 5, -1, 9] and messages["bytes"].tolist() == [100000, 13, 0, 4097]
    assert f["channels/payload"].shape == (104110,) and f["channels/payload"].dtype == np.uint8
    counters = f["channels/counters"][:]
    assert (counters["sent"] == counters["received"] + counters["in_flight"]).all()
    comms = f["communicators"]
    assert comms["how"].tolist() == [b"world", b"split"] and comms["colour"].tolist() == [0, -5]
    assert f["communicator_members"][:].tolist() == [0, 1, 2, 0, 2]
    for name in ("field", "big"):
        assert f["state/" + name].chunks is None
        assert f["state/" + name].id.get_offset() % 4096 == 0
