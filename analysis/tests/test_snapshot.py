# SPDX-License-Identifier: BSD-3-Clause
"""The API reads what was written, and no more than what is asked for."""
import os
import resource
import subprocess
import sys
from datetime import datetime, timezone

import h5py
import numpy as np
import pytest

import make
import wavecut
from conftest import field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def test_directory(run):
    checkpoints = wavecut.open(run)
    assert list(checkpoints) == [1, 2, 3, 4] and len(checkpoints) == 4
    for which in ("latest", 4, "wavecut-000004.h5"):
        with checkpoints[which] as snapshot:
            assert (snapshot.id, snapshot.size, snapshot.cut, snapshot.program) == (4, 4, "immediate", "./program --fast")
    with pytest.raises(wavecut.NotFound, match="no snapshot 9; the newest is 4"):
        checkpoints[9]
    with pytest.raises(wavecut.NotFound):
        checkpoints["../ckpt/wavecut-000004.h5"]


def test_runs(tmp_path):
    for k, run in enumerate((5, 5, 6, 6), 1):
        make.write(tmp_path / f"wavecut-{k:06d}.h5", id=k, run=run, program=f"./run{run}")
    (tmp_path / "finished").write_text(f"run {5:016x}\ntime 2026-11-26T00:00:00Z\n")
    (tmp_path / "wavecut-000005.h5").write_bytes(b"damaged")
    (tmp_path / "wavecut-000006.h5.partial").write_bytes(b"")
    runs = wavecut.open(tmp_path).runs
    assert [(r.id, r.program, r.snapshots, r.finished) for r in runs] == [(5, "./run5", [1, 2], True), (6, "./run6", [3, 4], False)]


def test_history(tmp_path):
    make.write(tmp_path / "wavecut-000001.h5")
    assert wavecut.open(tmp_path).history == (0.0, 0)
    (tmp_path / "history").write_text("start 2026-11-26T10:00:00Z\nlost 2026-11-26T11:00:00Z\nstart 2026-11-26T12:00:00Z\nlost 2026-11-26T12:30:00Z\n"
                                      "nonsense\nstart 2026-11-26T13:00:00Z\nstop 2026-11-26T13:30:00Z\nstart 2026-11-26T14:00:00Z\n")
    os.utime(tmp_path / "history", (0, datetime(2026, 11, 26, 14, 10, tzinfo=timezone.utc).timestamp()))
    assert wavecut.open(tmp_path).history == (3600.0 + 1800 + 1800 + 600, 2)


def test_arrays(run):
    with wavecut.open(run)[3] as snapshot:
        assert list(snapshot) == ["ocean/particles", "step", "u"]
        u, expected = snapshot["u"], field(3)
        assert u.is_global and u.shape == (24, 20) and u.dtype == np.float64 and u.nbytes == expected.nbytes and len(u) == 24
        assert np.array_equal(u[...], expected) and np.array_equal(u[3:5, ::2], expected[3:5, ::2])
        assert np.array_equal(np.asarray(u), expected) and np.array_equal(u - 1, expected - 1) and np.mean(u) == expected.mean()
        assert np.array_equal(np.concatenate([u.of(rank) for rank in range(4)]), expected)
        particles = snapshot["ocean/particles"]
        assert not particles.is_global and particles.parts["present"].tolist() == [0, 1, 1, 1]
        assert [particles.of(rank).tolist() for rank in range(4)] == [list(range(n)) for n in (0, 6, 9, 12)]
        with pytest.raises(wavecut.NotFound, match="no \"v\"; it has: ocean/particles, step, u"):
            snapshot["v"]


def test_tables(run):
    with h5py.File(run / "wavecut-000002.h5") as file:
        ranks, comms, channels, messages = (file[p][...] for p in ("ranks", "communicators", "channels/counters", "channels/messages"))
    with wavecut.open(run)[2] as snapshot:
        for table, expected in ((snapshot.ranks, ranks), (snapshot.communicators, comms), (snapshot.channels, channels), (snapshot.messages, messages)):
            assert np.array_equal(table, expected) and len(table)
        assert snapshot.trace is None
        assert snapshot.payload(snapshot.messages[1]) == b"x" * 40
        assert snapshot.members(snapshot.communicators[0]).tolist() == [0, 1, 2, 3]


def test_trace(notes):
    with wavecut.open(notes) as snapshot:
        assert len(snapshot.trace) == snapshot.trace_index["count"].sum() == 30
        assert snapshot.trace["rank"].tolist() == sorted(snapshot.trace["rank"].tolist())


def write_sparse(path, shape):
    """A snapshot with an array that takes no space on the disk."""
    def add(file):
        create, space = h5py.h5p.create(h5py.h5p.DATASET_CREATE), h5py.h5s.create_simple(shape)
        elements, n = int(np.prod(shape)), len(shape)
        create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file["state"].id, b"big", h5py.h5t.IEEE_F64LE, space, create)
        file["state/big"].attrs["global"] = np.uint64(1)
        file["index/big"] = np.array([(0, elements, 0, 1, 0, (0,) * n, shape)], [(name, "<u8") for name in (
            "first", "count", "checksum", "present", "blocks_first")] + [("offset", "<u8", (n,)), ("shape", "<u8", (n,))])
        file["blocks/big"] = np.zeros(elements * 8 // 65536, "<u8")
    return make.write(path, ranks=1, state={}, change=add)


def in_little_memory(*command):
    limit = 3 << 30
    return subprocess.run([sys.executable, *command], env={**os.environ, "PYTHONPATH": ROOT, "OPENBLAS_NUM_THREADS": "1"}, text=True,
                          capture_output=True, timeout=120, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))


@pytest.mark.parametrize("shape", ((10 << 27,), (10 << 14, 1 << 13), (64, 10 << 21), (5, 1 << 15, 1 << 13)))
def test_larger_than_memory(tmp_path, shape):
    """10 GiB, read in 3 GiB of address space."""
    path = write_sparse(tmp_path / "wavecut-000001.h5", shape)
    assert os.path.getsize(path) > 10 << 30 and os.stat(path).st_blocks * 512 < 100 << 20
    code = f"import wavecut; a = wavecut.open({path!r})['big']; print(a.shape, a[(0,) * (a.ndim - 1) + (slice(2, 4),)].tolist())"
    result = in_little_memory("-c", code)
    assert result.stdout == f"{shape} [0.0, 0.0]\n", result.stderr
    result = in_little_memory("-m", "wavecut.report.command", path, "-o", str(tmp_path / "page.html"))
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "page.html").read_text()
    assert "10.0 GiB" in page and "a sample" in page and "can&#x27;t be shown" not in page
