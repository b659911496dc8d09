# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots of the example programs: the package reads what h5py alone reads, and the report says it. TESTS_BUILD is a build directory."""
import glob
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter

import h5py
import numpy as np
import pytest

import make
import wavecut
from test_cut import an_orphan, random_scenario
from test_page import ROOT, Page, keeps_to_itself
from wavecut.cut import violations
from wavecut.report import steps
from wavecut.trace import RECEIVE, SEND, UNKNOWN, Trace

BUILD = os.environ.get("TESTS_BUILD")
JOBS = {"heat": (4, ["heat", "--steps=500", "--size=256", "--slow=1"]), "phold": (4, ["phold", "--steps=120", "--size=64", "--slow=0.01"]),
        "phold16": (16, ["phold", "--steps=20", "--size=192", "--slow=0.01"]), "tokens": (3, ["tokens", "--steps=8000", "--slow=0.05"])}


def launch(directory, ranks, command, **settings):
    """Runs a job to its end, with a trace."""
    with open(f"{ROOT}/../jobs/mpirun.env") as file:
        environment = dict(re.findall(r"^(\w+)=(\S*)$", file.read(), re.MULTILINE))
    environment.update({f"WAVECUT_{name}": value for name, value in settings.items()}, WAVECUT_DIR=str(directory), WAVECUT_TRACE="12000")
    result = subprocess.run(["mpirun.openmpi", "-n", str(ranks), *command], env={**os.environ, **environment}, text=True, capture_output=True,
                            timeout=120, cwd=os.path.dirname(directory))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module", params=JOBS)
def job(request, tmp_path_factory):
    """The directory of snapshots of a job that has run to its end, its name and the number of its ranks."""
    if not BUILD:
        pytest.skip("TESTS_BUILD names no build directory")
    ranks, (program, *options) = JOBS[request.param]
    directory = tmp_path_factory.mktemp(request.param) / "ckpt"
    launch(directory, ranks, [f"{BUILD}/jobs/{program}", *options], INTERVAL="0.1", KEEP="0")
    return str(directory), request.param, ranks


def test_as_h5py_reads_it(job):
    directory, name, ranks = job
    for path in sorted(glob.glob(f"{directory}/wavecut-*.h5"))[-3:]:
        with h5py.File(path, "r", locking=False) as file:
            names = []
            file["state"].visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
            arrays = {name: (file[f"state/{name}"][...], file[f"index/{name}"][...]) for name in names}
            messages, payload, counters = (file[f"channels/{name}"][...] for name in ("messages", "payload", "counters"))
        with wavecut.open(path) as snapshot:
            assert snapshot.size == ranks and sorted(snapshot) == sorted(arrays)
            for array, (values, index) in arrays.items():
                assert np.array_equal(snapshot[array][...], values) and np.array_equal(snapshot[array].parts, index)
                for rank, row in enumerate(index):
                    box = tuple(slice(o, o + n) for o, n in zip(row["offset"], row["shape"])) if "offset" in index.dtype.names else \
                        slice(row["first"], row["first"] + row["count"])
                    assert np.array_equal(snapshot[array].of(rank), values[box])
            assert np.array_equal(snapshot.messages, messages) and np.array_equal(snapshot.channels, counters)
            for row in messages[:50]:
                assert snapshot.payload(row) == payload[row["offset"]:row["offset"] + row["bytes"]].tobytes()
    if name == "phold16":
        most = max(len(wavecut.open(directory)[number].messages) for number in wavecut.open(directory))
        assert most > 1000


def test_trace(job):
    """What crosses the cut by the trace is what the file has in flight."""
    directory, _, _ = job
    checkpoints, checked = wavecut.open(directory), 0
    for number in checkpoints:
        if checked == 3:
            break
        with checkpoints[number] as snapshot:
            trace = Trace(snapshot)
            if trace.dropped.any() or (snapshot.trace["sequence"][snapshot.trace["kind"] == RECEIVE] == UNKNOWN).any():
                continue
            checked += 1
            crossing = Counter()
            for row in trace.crossing:
                event = trace.events[row]
                assert trace.kind_of(row) == "crossing"
                if event["kind"] == SEND:
                    crossing[event["rank"], event["peer"], event["tag"], event["comm"]] += 1
                elif trace.other[row] < 0:
                    crossing[event["peer"], event["rank"], event["tag"], event["comm"]] += 1
            flying = snapshot.messages
            assert crossing == Counter(zip(flying["source"], flying["destination"], flying["tag"], flying["comm"]))
            clocks = trace.record_clocks()
            assert (clocks <= clocks.diagonal()).all()
    assert checked > 0


def test_report(job, tmp_path):
    directory, name, ranks = job
    result = subprocess.run([f"{BUILD}/bin/wavecut-report", directory, "-o", tmp_path / "page.html"], text=True, capture_output=True, timeout=120)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    page = Page((tmp_path / "page.html").read_text())
    keeps_to_itself(page)
    newest = sorted(glob.glob(f"{directory}/wavecut-*.h5"))[-1]
    with h5py.File(newest, "r", locking=False) as file:
        flying, states = len(file["channels/messages"]), len(file["state"])
    for words in (f"{ranks} ranks", f"{flying} message" if flying else "No message was in flight", f"{states} protected array", "Consistent"):
        assert words in page.words, words
    assert "can't be shown" not in page.words and f"/jobs/{JOBS[name][1][0]} " in page.words
    assert any(key == "image" and a.get("class") == "field" for key, a in page.elements) == (name != "tokens")


def test_the_command_agrees(run, notes, tmp_path):
    """`wavecut verify` takes the snapshots that these tests write for good ones, and calls the same ones inconsistent."""
    if not BUILD:
        pytest.skip("TESTS_BUILD names no build directory")
    orphan = make.write(tmp_path / "orphan.h5", counters=[(1, 0, 1, 4, 5, 0), (1, 1, 2, 3, 3, 0)])
    traced = make.write(tmp_path / "traced.h5", **{**an_orphan(), "counters": [(1, 1, 0, 1, 0, 1)]})
    random = [make.write(tmp_path / f"random{seed}.h5", **random_scenario(seed)) for seed in range(8)]
    said = []
    for path in [str(run), notes, orphan, traced, *random]:
        result = subprocess.run([f"{BUILD}/bin/wavecut", "verify", path], text=True, capture_output=True, timeout=60)
        with wavecut.open(path)["latest"] if path == str(run) else wavecut.open(path) as snapshot:
            assert result.returncode == bool(violations(snapshot)), result.stdout + result.stderr
        said.append(result.returncode)
    assert said[:4] == [0, 0, 1, 1] and 0 < sum(said[4:])


def test_the_scenario_of_the_notes_on_real_ranks(tmp_path):
    """The five steps as the notes draw them, from the trace of three processes."""
    if not BUILD or not importlib.util.find_spec("mpi4py"):
        pytest.skip("TESTS_BUILD names no build directory, or there is no mpi4py")
    (tmp_path / "stage").write_bytes(bytes(4096))
    launch(tmp_path / "ckpt", 3, ["env", f"LD_PRELOAD={BUILD}/lib/libwavecut-openmpi.so", f"PYTHONPATH={BUILD}/lib/wavecut/python", sys.executable,
                                  os.path.join(os.path.dirname(__file__), "scenario.py"), str(tmp_path / "stage")], INTERVAL="0")
    with wavecut.open(tmp_path / "ckpt")["latest"] as snapshot:
        assert snapshot.messages[["source", "destination", "tag"]].tolist() == [(1, 0, 3), (2, 0, 5), (2, 1, 4)]
        assert violations(snapshot) == []
        five = steps.steps(Trace(snapshot))
    assert [step.recorded for step in five] == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2]]
    assert [step.found for step in five] == [[[], [], []], [[], [], []], [["m3"], [], []], [["m3", "m5"], ["m4"], []], [["m3", "m5"], ["m4"], []]]
    assert five[1].channels == {(0, 1): ["marker"], (1, 0): ["m3"], (2, 1): ["m4"], (2, 0): ["m5"]} and five[1].empty == set()
    assert five[2].channels[0, 1] == ["m6"] and (0, 1) in five[2].empty and five[3].channels[1, 2] == ["m7"] and (1, 2) in five[3].empty
    assert five[4].channels == {} and five[4].empty == {(0, 1), (1, 0), (1, 2), (2, 0), (2, 1)}
