# SPDX-License-Identifier: BSD-3-Clause
"""Reads the snapshot of make.c with h5py alone, to the last value."""
import os
import sys

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
import h5py  # noqa: E402
import numpy as np  # noqa: E402

with h5py.File(sys.argv[1], "r") as f:
    assert f.attrs["ranks"] == 4 and f.attrs["complete"] == 1 and f.attrs["format"] == 2 and f.attrs["id"] == 1
    assert f.attrs["cut"] == b"immediate" and f["program"][()] == b"./make"

    field = f["state/field"]
    assert field.chunks == (64, 128) and field.dtype == np.float64
    assert (field[...] == 1000.0 * np.arange(64)[:, None] + np.arange(256)).all()
    assert f["state/ocean/wave"][...].tolist() == [r + 0.25j * i for r in range(4) for i in range(3)]
    assert f["state/ids"][...].tolist() == [-10**12 * r - i for r in range(4) for i in range(5 * r)]
    assert f["state/masses"][...].tolist() == [0.5 + 10 * r + i for r in (1, 3) for i in range(5)]
    assert f["state/flags"][...].tolist() == [16 * r + i for r in range(4) for i in range(7)]
    assert f["state/inbox"].dtype == np.int32 and (f["state/inbox"][...] == 0).all()
    requests = f["state/requests"][...].tolist()
    assert requests[::2] == [(b"none", 0, 0, 0, 0, 0, 0, b"", b"")] * 4
    assert requests[1::2] == [(b"receive", (r - 1) % 4, 9, 1, 1, 1, 4, b"i32", b"inbox") for r in range(4)]

    index = f["index/field"][...]
    assert index["present"].tolist() == [1, 1, 0, 0] and index["blocks_first"].tolist() == [0, 1, 2, 2]
    assert index["offset"].tolist()[:2] == [[0, 0], [0, 128]] and index["shape"].tolist()[:2] == [[64, 128]] * 2
    assert f["index/ids"]["count"].tolist() == [0, 5, 10, 15] and f["index/masses"]["present"].tolist() == [0, 1, 0, 1]
    assert {name: set_.shape[0] for name, set_ in f["blocks"].items() if name != "ocean"} == {
        "field": 2, "flags": 4, "ids": 3, "inbox": 4, "masses": 2, "requests": 4}

    comms, members = f["communicators"][...], f["communicator_members"][...].tolist()
    groups = [(c["how"], members[c["members_first"]:c["members_first"] + c["members_count"]]) for c in comms]
    assert groups == [(b"world", [0, 1, 2, 3]), (b"split", [0, 2]), (b"intercomm", [0, 2]), (b"split", [1, 3]),
                      (b"intercomm", [1, 3])]
    inter = comms[2]["uid"]
    assert comms[4]["uid"] == inter and comms[0]["uid"] == 1

    payload = f["channels/payload"][...].tobytes()
    found = {(m["comm"], m["source"], m["destination"], m["tag"], m["sequence"]):
             np.frombuffer(payload[m["offset"]:m["offset"] + m["bytes"]], np.int32).tolist()
             for m in f["channels/messages"]}
    expected = {}
    for r in range(4):
        expected[1, r, (r + 1) % 4, 5, 0] = [100 * r + i for i in range(10)]
        expected[1, r, (r + 1) % 4, 6, 1] = []
        expected[inter, r, r ^ 1, 7, 0] = [100 * r]
    assert found == expected
    counters = f["channels/counters"][...]
    assert (counters["received"] == 0).all() and (counters["sent"] == counters["in_flight"]).all()
    assert sorted(counters["sent"].tolist()) == [1] * 4 + [2] * 4
    assert f["ranks"]["rank"].tolist() == [0, 1, 2, 3]
