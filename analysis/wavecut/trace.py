# SPDX-License-Identifier: BSD-3-Clause
"""What follows from the events of a trace: which receive got which send, an order in which causes come first, vector clocks."""
import heapq

import numpy as np

from .errors import Damaged

SEND, RECEIVE, MARKER_SENT, MARKER_RECEIVED, RECORD, ARMED, CLOSED = range(1, 8)
UNKNOWN = 2**64 - 1  # sequence of a receive whose place among others was not known yet
_SENT = 1  # kind of a stream


class Trace:
    """The events of a snapshot that has a trace. An event is named by its row.

    events: the rows; size: ranks; first, end, dropped: of each rank's rows; record: the row of each rank's record.
    other: for each send its receive, for each receive its send, likewise for markers; -1: not in the trace.
    before: for each event whether it lies before its rank's record. here: whether it is no event of another attempt.
    sent: for each receive whether its message was sent before the record of its sender: 1, 0, or -1 if the trace doesn't tell.
    """

    def __init__(self, snapshot):
        self.events, index, self.size = snapshot.trace, snapshot.trace_index, snapshot.size
        self.first, counts = index["first"].astype(np.int64), index["count"].astype(np.int64)
        self.dropped, self.end = index["dropped"].astype(np.int64), self.first + counts
        rank = self.events["rank"]
        if len(index) != self.size or not np.array_equal(np.repeat(np.arange(self.size), np.maximum(counts, 0)), rank) \
                or not np.array_equal(self.first, np.cumsum(counts) - counts):
            raise Damaged(f"{snapshot.path}: /trace/index does not fit /trace/events")
        self.record = np.full(self.size, -1)
        records = np.flatnonzero(self.events["kind"] == RECORD)
        self.record[rank[records]] = records  # the last one is that of this snapshot: earlier attempts may stand before it
        if len(self.events) and (self.record < 0).any():
            raise Damaged(f"{snapshot.path}: /trace/events has no record of rank {int(np.argmin(self.record))}")
        self.before = np.arange(len(rank)) < self.record[rank]
        kind, sequence = self.events["kind"], self.events["sequence"]
        self.here = (kind < MARKER_SENT) | (sequence == sequence[self.record[rank]])
        self.other = np.full(len(rank), -1)
        self._pair(SEND, RECEIVE, ("comm", "tag", "sequence"))
        self._pair(MARKER_SENT, MARKER_RECEIVED, ("comm", "sequence"))
        self.sent = self._find_sent(snapshot.trace_streams)

    def _find_sent(self, streams):
        """Where the trace does not have the send, the number of messages that its stream had at the record tells."""
        sent = np.where(self.other >= 0, self.before[self.other], -1)
        keys = ("comm", "rank", "peer", "tag")
        counts = {row[:4]: row[4] for row in streams[streams["kind"] == _SENT][[*keys, "count"]].tolist()}
        for row in np.flatnonzero((self.events["kind"] == RECEIVE) & (self.other < 0) & (self.events["sequence"] != UNKNOWN)):
            event = self.events[row]
            count = counts.get((event["comm"].item(), event["peer"].item(), event["rank"].item(), event["tag"].item()))
            if count is not None:
                sent[row] = event["sequence"] < count
        return sent

    def _pair(self, out, into, fields):
        """Fills `other` for what is equal in source, destination and the fields; of several the last one on either side."""
        kind, rank, peer = (self.events[name] for name in ("kind", "rank", "peer"))
        rows = np.flatnonzero((kind == out) | (kind == into))
        arrives = kind[rows] == into
        source, destination = np.where(arrives, peer[rows], rank[rows]), np.where(arrives, rank[rows], peer[rows])
        keys = [source, destination] + [self.events[name][rows] for name in fields]
        order = np.lexsort([rows, arrives] + keys)
        same = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
        last = np.append(~same, True) if len(order) else same  # of its key; an arrival, if there is one
        turn = np.flatnonzero(same & ~arrives[order][:-1] & arrives[order][1:])  # the last of out before the first of into
        ends = np.flatnonzero(last)
        sent, got = rows[order[turn]], rows[order[ends[np.searchsorted(ends, turn)]]]
        self.other[sent], self.other[got] = got, sent

    @property
    def orphans(self):
        """The receives before the cut whose sends are not: each is a witness that the cut is inconsistent, and if it is, there is one: a
        chain of causes from behind the cut to before it must cross back in some message. (In clocks: see record_clocks.)"""
        return np.flatnonzero((self.events["kind"] == RECEIVE) & self.before & (self.sent == 0))

    def causal_order(self, chosen):
        """The chosen rows (ascending), each after those that it depends on, else by their times. What can't be ordered (a trace that
        makes no sense) comes in any order."""
        chosen = np.asarray(chosen, np.int64)
        rank, time = self.events["rank"], np.nan_to_num(self.events["time"]).tolist()
        arrives = np.isin(self.events["kind"], (RECEIVE, MARKER_RECEIVED))
        follows = np.flatnonzero(rank[chosen[:-1]] == rank[chosen[1:]])
        ahead = dict(zip(chosen[follows].tolist(), chosen[follows + 1].tolist()))
        waiting = set(chosen.tolist())
        ready, blocked, order = [], {}, []

        def offer(row):
            cause = int(self.other[row]) if arrives[row] else -1
            if cause in waiting:
                blocked[cause] = row
            else:
                heapq.heappush(ready, (time[row], row))

        for row in sorted(waiting - set(ahead.values())):  # the first one of each rank
            offer(row)
        while ready or blocked:
            row = heapq.heappop(ready)[1] if ready else blocked.pop(next(iter(blocked)))
            waiting.discard(row)
            order.append(row)
            if row in blocked:
                heapq.heappush(ready, (time[blocked[row]], blocked.pop(row)))
            if row in ahead:
                offer(ahead[row])
        return order

    def record_clocks(self):
        """The vector clock of each rank's record, a row each. clocks[j][i] is how many events of rank i lie before the record of j. The
        cut is consistent if clocks[j][i] <= clocks[i][i] for all i, j. Markers are no events of the program and carry no clock."""
        now = np.zeros((self.size, self.size), np.int64)
        now[np.diag_indices(self.size)] = self.dropped
        clocks, sent = np.zeros_like(now), {}
        rank, kind = self.events["rank"], self.events["kind"]
        for row in self.causal_order(np.arange(len(rank))):
            me = rank[row]
            now[me, me] += 1
            if kind[row] == RECEIVE and self.other[row] in sent:
                np.maximum(now[me], sent.pop(self.other[row]), out=now[me])
            elif kind[row] == SEND and self.other[row] >= 0:
                sent[row] = now[me].copy()
            if row == self.record[me]:
                clocks[me] = now[me]
        return clocks
