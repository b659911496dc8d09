# SPDX-License-Identifier: BSD-3-Clause
"""What follows from the events of a trace: which receive got which send, an order in which causes come first, vector clocks."""
import heapq

import numpy as np

from .errors import Damaged

SEND, RECEIVE, MARKER_SENT, MARKER_RECEIVED, RECORD, ARMED, CLOSED = range(1, 8)
UNKNOWN = 2**64 - 1  # sequence of a receive whose place among others was not known yet
_SENT, _RECEIVED = 1, 2  # kinds of streams


class Trace:
    """The events of a snapshot that has a trace. An event is named by its row.

    events: the rows; size: ranks; first, end, dropped: of each rank's rows; record: the row of each rank's record.
    other: for each send its receive, for each receive its send, likewise for markers; -1: not in the trace.
    before: for each event whether it lies before its rank's record. here: whether it is no event of another attempt.
    other_before: for each send whether its message was received before the record of its receiver, for each receive whether it was sent
    before the record of its sender: 1, 0, or -1 if the trace doesn't tell.
    """

    def __init__(self, snapshot):
        self.events, index, self.size = snapshot.trace, snapshot.trace_index, snapshot.size
        rank = self.events["rank"]
        counts = np.bincount(rank, minlength=self.size)
        self.first, self.end, self.dropped = np.cumsum(counts) - counts, np.cumsum(counts), index["dropped"].astype(np.int64)
        if len(index) != self.size or not np.array_equal(counts, index["count"]) or not np.array_equal(self.first, index["first"]) \
                or (np.diff(rank.astype(np.int64)) < 0).any():
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
        self.other_before = self._find_other_before(snapshot.trace_streams)

    def _find_other_before(self, streams):
        """Where the trace does not have the other end, the number of messages that the stream had there at the record tells: none, if the
        rank there has other streams of that communicator (one that was freed has none)."""
        found = np.where(self.other >= 0, self.before[self.other], -1)
        counts = {tuple(row[:5]): row[5] for row in streams[["kind", "rank", "peer", "tag", "comm", "count"]].tolist()}
        used = set(map(tuple, streams[["rank", "comm"]].tolist()))
        lonely = np.flatnonzero((self.events["kind"] <= RECEIVE) & (self.other < 0) & (self.events["sequence"] != UNKNOWN))
        columns = (self.events[name][lonely].tolist() for name in ("rank", "kind", "peer", "tag", "comm", "sequence"))
        for row, rank, kind, peer, tag, comm, sequence in zip(lonely.tolist(), *columns):
            if (peer, comm) in used:
                found[row] = sequence < counts.get((_SENT if kind == RECEIVE else _RECEIVED, peer, rank, tag, comm), 0)
        return found

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

    def kind_of(self, row):
        """Of the message of a send or a receive: "before" or "after" the cut, "crossing", or "orphan"."""
        here, there = bool(self.before[row]), self.other_before[row]
        if there < 0 or there == here:
            return "before" if here else "after"
        return "crossing" if here == (self.events["kind"][row] == SEND) else "orphan"

    def _rows(self, kind, before, other_before):
        return np.flatnonzero((self.events["kind"] == kind) & (self.before == before) & (self.other_before == other_before))

    @property
    def orphans(self):
        """The receives before the cut whose sends are not: each is a witness that the cut is inconsistent, and if it is, there is one: a
        chain of causes from behind the cut to before it must cross back in some message. (In clocks: see record_clocks.)"""
        return self._rows(RECEIVE, True, 0)

    @property
    def crossing(self):
        """The sends and receives of what crosses the cut, in whichever direction, as far as they are in the trace."""
        return np.unique(np.concatenate([self._rows(kind, before, not before) for kind in (SEND, RECEIVE) for before in (True, False)]))

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
        """The vector clock of each rank's record, a row each. clocks[j][i] is how many sends and receives of rank i lie before the record
        of j. The cut is consistent if clocks[j][i] <= clocks[i][i] for all i, j."""
        now = [[int(self.dropped[i]) if i == rank else 0 for i in range(self.size)] for rank in range(self.size)]
        clocks, sent = np.zeros((self.size, self.size), np.int64), {}
        rank, kind, other = (a.tolist() for a in (self.events["rank"], self.events["kind"], self.other))
        for row in self.causal_order(np.arange(len(rank))):
            me = rank[row]
            if kind[row] == RECEIVE:
                now[me] = list(map(max, now[me], sent.pop(other[row], now[me])))
            if kind[row] in (SEND, RECEIVE):
                now[me][me] += 1
            if kind[row] == SEND and other[row] >= 0:
                sent[row] = list(now[me])
            if row == self.record[me]:
                clocks[me] = now[me]
        return clocks
