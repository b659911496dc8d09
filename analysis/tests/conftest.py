# SPDX-License-Identifier: BSD-3-Clause
import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
import make  # noqa: E402


def field(step, shape=(24, 20)):
    return np.sin(np.arange(np.prod(shape)).reshape(shape) / 37.0 + step) * (1 + step)


def write_run(directory, count=4, ranks=4, **options):
    """A directory with some snapshots of a run: a field, a scalar, particles of another number on each rank, which only some ranks have."""
    directory.mkdir(exist_ok=True)
    for k in range(1, count + 1):
        state = {"u": make.rows(field(k), ranks), "step": [np.array([10 * k])] * ranks,
                 "ocean/particles": [None] + [np.arange(k + 3 * r, dtype=np.float32) for r in range(1, ranks)]}
        counters = [(1, r, (r + 1) % ranks, 10 * k, 10 * k - 1, 1) for r in range(ranks)]
        messages = [(1, r, (r + 1) % ranks, 5, b"x" * 40) for r in range(ranks)]
        make.write(directory / f"wavecut-{k:06d}.h5", **{"ranks": ranks, "state": state, "counters": counters, "messages": messages, "id": k,
                                                         "time": make.NOW + 60.0 * k, **options})
    return directory


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run") / "ckpt")


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    return make.write(tmp_path_factory.mktemp("notes") / "wavecut-000001.h5", **make.notes().contents())
