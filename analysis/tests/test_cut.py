# SPDX-License-Identifier: BSD-3-Clause
"""Consistency from the file alone, with the right witness."""
import random

import numpy as np
import pytest

import make
import wavecut
from wavecut.cut import violations
from wavecut.report import steps
from wavecut.report.command import main
from wavecut.trace import RECEIVE, RECORD, Trace


def found(tmp_path, **options):
    with wavecut.open(make.write(tmp_path / "wavecut-000001.h5", **options)) as snapshot:
        return violations(snapshot)


def test_consistent(run, notes):
    with wavecut.open(run)["latest"] as snapshot, wavecut.open(notes) as traced:
        assert violations(snapshot) == [] and violations(traced) == []


def test_received_but_not_sent(tmp_path):
    only, = found(tmp_path, counters=[(1, 0, 1, 4, 5, 0), (1, 1, 2, 3, 3, 0)])
    assert only.orphan and (only.source, only.destination) == (0, 1)
    assert only.text == ("on world, rank 1 has received 5 messages from rank 0 before its record, and 0 are in flight, but rank 0 has sent 4 before its "
                         "record: 1 orphan")
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "-o", str(page)]) == 1
    assert "Not a consistent cut" in page.read_text() and only.text in page.read_text() and 'class="wrong"' in page.read_text()


def test_lost(tmp_path):
    only, = found(tmp_path, counters=[(1, 2, 0, 9, 5, 1)], messages=[(1, 2, 0, 0, b"a")])
    assert not only.orphan and only.text.endswith("rank 2 has sent 9 before its record: 3 messages lost")


def test_numbers_that_wrap_around(tmp_path):
    only, = found(tmp_path, counters=[(1, 0, 1, 0, 2**64 - 1, 1)], messages=[(1, 0, 1, 0, b"a")])
    assert only.orphan


def test_messages_against_counters(tmp_path):
    rows = found(tmp_path, counters=[(1, 0, 1, 2, 1, 1)], messages=[(1, 0, 2, 0, b"a")])
    assert [row.text for row in rows] == ["on world, 1 message from rank 0 to rank 1 should be in flight, and the file has 0",
                                          "on world, 0 messages from rank 0 to rank 2 should be in flight, and the file has 1"]


def an_orphan():
    """Rank 0 records, then sends; rank 1 receives that, and records."""
    s = make.Scenario(2)
    s.send(1, 0, 3)
    s.record(0)
    s.send(0, 1, 8)
    s.receive(0, 1, 8)
    s.record(1)
    s.receive(1, 0, 3)
    return s.contents()


@pytest.mark.parametrize("sends_are_there", (True, False))
def test_orphan_by_the_trace(tmp_path, sends_are_there):
    contents = an_orphan()
    contents["counters"] = [(1, 1, 0, 1, 0, 1)]
    if not sends_are_there:  # as behind the closing of the sender: then the number of messages in the stream tells
        events = contents["events"]
        contents["events"] = events[~((events["rank"] == 0) & (events["tag"] == 8))]
        contents["streams"].append((0, 1, 1, 8, 1, 0))
    only, = found(tmp_path, **contents)
    assert only.text == ("on world, rank 1 received message 0 with tag 8 of rank 0 before its record, and rank 0 had not sent it at its record: an orphan "
                         "(by the trace)")
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "-o", str(page)]) == 1 and "message orphan" in page.read_text()
    if sends_are_there:
        with wavecut.open(tmp_path)["latest"] as snapshot:
            assert Trace(snapshot).record_clocks().tolist() == [[0, 0], [1, 2]]
        assert '<td class="bad">1 &gt; 0</td>' in page.read_text()
        assert "No consistent cut: received before it and sent after it: m2." in page.read_text()


def random_scenario(seed, ranks=4, length=120):
    """Any schedule; the records anywhere, so that some cuts are consistent and some are not."""
    choose, s, flying = random.Random(seed), make.Scenario(ranks), []
    records = {choose.randrange(length // 3, 2 * length // 3): rank for rank in range(ranks)}
    while len(records) < ranks:
        records[choose.randrange(length // 3, 2 * length // 3)] = ranks - len(records) - 1
    records = dict(zip(sorted(records), choose.sample(range(ranks), ranks)))
    for at in range(length):
        if at in records:
            s.record(records[at])
        elif flying and choose.random() < 0.5:
            s.receive(*flying.pop(0))
        else:
            flying.append((choose.randrange(ranks), choose.randrange(ranks), choose.randrange(2)))
            s.send(*flying[-1])
    return s.contents()


def test_clocks_and_orphans_agree(tmp_path):
    """There is an orphan if and only if the vector clocks of the records say so, and the counters agree where orphans are not balanced."""
    inconsistent = 0
    for seed in range(40):
        with wavecut.open(make.write(tmp_path / f"wavecut-{seed:06d}.h5", **random_scenario(seed, length=40 + seed))) as snapshot:
            trace = Trace(snapshot)
            clocks = trace.record_clocks()
            by_clocks = bool((clocks > clocks.diagonal()).any())
            assert by_clocks == bool(len(trace.orphans)), seed
            assert by_clocks == any(v.orphan for v in violations(snapshot)), seed
            order = trace.causal_order(range(len(trace.events)))
            place = {row: at for at, row in enumerate(order)}
            assert sorted(order) == list(range(len(trace.events)))
            assert all(place[row] < place[other] for row, other in enumerate(trace.other.tolist()) if other >= 0 and trace.events["kind"][row] == 1)
            inconsistent += by_clocks
    assert 5 < inconsistent < 35


def test_ends_that_the_trace_does_not_have(tmp_path):
    """Of a trace whose oldest and youngest events are gone the numbers of the streams tell what crosses the cut."""
    for seed in range(12):
        contents = random_scenario(seed, length=80)
        events = contents["events"]
        rows = np.arange(len(events))
        record = rows[events["kind"] == RECORD]
        dropped = events[(rows >= record[events["rank"]] - 8) & (rows <= record[events["rank"]] + 3)]
        crossing = []
        for number, which in enumerate((events, dropped), 1):
            with wavecut.open(make.write(tmp_path / f"wavecut-{number:06d}.h5", **{**contents, "events": which})) as snapshot:
                trace = Trace(snapshot)
                kinds = {tuple(trace.events[row].tolist()): trace.kind_of(row) for row in range(len(which)) if which["kind"][row] <= RECEIVE}
                assert {row for row in trace.crossing} == {row for row in range(len(which)) if which["kind"][row] <= RECEIVE
                                                           and trace.kind_of(row) in ("crossing", "orphan")}
                crossing.append(kinds)
        assert len(dropped) < len(events) and crossing[1].items() <= crossing[0].items()


def test_a_trace_that_goes_in_a_circle(tmp_path):
    """Two ranks that receive each other's messages before they send them: read without hanging, in some order."""
    s = make.Scenario(2)
    s.receive(0, 1)
    s.receive(1, 0)
    s.send(0, 1)
    s.send(1, 0)
    s.record(0)
    s.record(1)
    with wavecut.open(make.write(tmp_path / "wavecut-000001.h5", **s.contents())) as snapshot:
        assert sorted(Trace(snapshot).causal_order(range(6))) == list(range(6))
    assert main([str(tmp_path), "-o", "/dev/null"]) == 0


def huge_count(file):
    rows = file["trace/index"][...]
    rows["count"][1] = 2**47  # of which an array would not fit into any memory
    file["trace/index"][...] = rows


@pytest.mark.parametrize("what", ("unknown rank", "index", "no record", "huge count"))
def test_damaged_trace(tmp_path, what):
    contents = make.notes().contents()
    events = contents["events"]
    if what == "unknown rank":
        events["peer"][3] = 99
    elif what == "no record":
        contents["events"] = events[~((events["kind"] == RECORD) & (events["rank"] == 1))]
    elif what == "huge count":
        contents["change"] = huge_count
    else:
        events["rank"][0] = 1
    with pytest.raises(wavecut.Damaged, match="/trace/"):
        found(tmp_path, **contents)


def test_the_steps_of_the_notes(notes):
    with wavecut.open(notes) as snapshot:
        trace = Trace(snapshot)
        five = steps.steps(trace)
    assert len(five) == 5
    assert [step.recorded for step in five] == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2]]
    assert [step.found for step in five] == [[[], [], []], [[], [], []], [["m3"], [], []], [["m3", "m5"], ["m4"], []], [["m3", "m5"], ["m4"], []]]
    assert [step.empty for step in five] == [set(), set(), {(0, 1)}, {(0, 1), (1, 2)}, {(0, 1), (1, 2), (1, 0), (2, 0), (2, 1)}]
    assert five[1].channels == {(0, 1): ["marker"], (1, 0): ["m3"], (2, 1): ["m4"], (2, 0): ["m5"]}
    assert five[2].channels[0, 1] == ["m6"] and five[3].channels[1, 2] == ["m7"] and five[4].channels == {}
    assert "p2 records its state and sends a marker to p1, p3." in five[2].text
