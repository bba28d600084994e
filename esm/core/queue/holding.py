"""The messages we hold: which receipt is theirs, until when they are ours, and when to ask for more time.

Records that were read together share a deadline, so there is one heap entry per page, not per record. An entry
comes due when a part of the visibility is still left, earlier or later by a jitter, so that nothing is ever
extended at the last moment or all at once. A record that was planned anew is skipped in its older entries.
"""

import heapq
from collections.abc import Iterable, Sequence
from itertools import count

from msgspec import Struct

from esm.model import Record, Terms

_MOST_HEADROOM = 60.0
_RETRY = 1.0
_SLACK = 64
_UNPLANNED = float("inf")


def weight(record: Record) -> int:
    """Bytes a held record counts for: its fragment, and its share of the payload it will be sent in."""
    return 2 * len(record.event)


class Held(Struct):
    """One message in our hands: its newest copy, and when it stops being ours (monotonic seconds).

    `size` is the bytes it was counted with, which a newer copy does not change; `due` when a heartbeat is due.
    """

    record: Record
    until: float
    size: int
    due: float = 0.0


class Holding:
    """Every message of one queue that was read and not yet settled."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._heap: list[tuple[float, int, tuple[str, ...]]] = []
        self._tie = count()

    def __len__(self) -> int:
        return len(self._held)

    def ids(self) -> list[str]:
        """The ids of everything held."""
        return list(self._held)

    def admit(self, records: Sequence[Record], terms: Terms, now: float, chance: float) -> list[Record]:
        """Takes in what was read and returns what is new.

        A record that is held already is not a second message: only its receipt is newer (D24).
        """
        fresh = []
        until = now + terms.visibility
        for record in records:
            if held := self._held.get(record.id):
                held.record, held.until = record, until
            else:
                self._held[record.id] = Held(record, until, weight(record))
                fresh.append(record)
        self._plan([record.id for record in records], now, terms, chance)
        return fresh

    def new(self, records: Iterable[Record]) -> list[Record]:
        """Those of these that are not held already."""
        return [record for record in records if record.id not in self._held]

    def latest(self, record: Record) -> Record:
        """The record with its newest receipt."""
        held = self._held.get(record.id)
        return held.record if held else record

    def ours(self, record: Record, now: float) -> bool:
        """True while nobody else can have received it."""
        held = self._held.get(record.id)
        return held is not None and now < held.until

    def due(self, now: float, terms: Terms) -> list[Record]:
        """Takes out of the plan what has to be extended now; `extended` or `unanswered` puts it back.

        What cannot be kept for a whole visibility timeout more, because it was read too long ago, is left out.
        """
        records: list[Record] = []
        while self._heap and self._heap[0][0] <= now:
            due, _, ids = heapq.heappop(self._heap)
            for held in (self._held[id_] for id_ in ids if id_ in self._held):
                if held.due == due:
                    held.due = _UNPLANNED
                    records.append(held.record)
        return [record for record in records if now + terms.visibility <= record.read + terms.longest]

    def next_due(self) -> float | None:
        """When `due` has something next, in monotonic seconds."""
        return self._heap[0][0] if self._heap else None

    def extended(self, records: Iterable[Record], terms: Terms, now: float, chance: float) -> None:
        """These were extended by the visibility timeout, asked for at `now`."""
        ids = [record.id for record in records if record.id in self._held]
        for id_ in ids:
            self._held[id_].until = now + terms.visibility
        self._plan(ids, now, terms, chance)

    def unanswered(self, records: Iterable[Record], now: float) -> None:
        """Nobody answered the request to extend these: ask again soon, in any case before their time is over."""
        for record in records:
            if held := self._held.get(record.id):
                left = held.until - now
                self._push([record.id], now + (min(_RETRY, left / 2) if left > 0 else _RETRY))

    def lost(self, records: Iterable[Record]) -> list[Record]:
        """The queue says these are not ours any more; their receipts may still serve to delete them.

        Returns those that this is true of: what was received again meanwhile is ours by its newer receipt.
        """
        lost = []
        for record in records:
            held = self._held.get(record.id)
            if held is not None and held.record.handle == record.handle:
                held.until = float("-inf")
                lost.append(record)
        return lost

    def leave_alone(self, records: Iterable[Record]) -> None:
        """No further heartbeat for these: they have failed, and their timeout runs."""
        for record in records:
            if held := self._held.get(record.id):
                held.due = _UNPLANNED

    def forget(self, records: Iterable[Record]) -> int:
        """These are settled, given back or lost; returns the bytes that are held no more."""
        freed = 0
        for record in records:
            if held := self._held.pop(record.id, None):
                freed += held.size
        return freed

    def _plan(self, ids: Sequence[str], now: float, terms: Terms, chance: float) -> None:
        headroom = min(terms.visibility / 3, _MOST_HEADROOM) * (1 + chance / 2)
        self._push(ids, now + max(terms.visibility - headroom, 0.0))

    def _push(self, ids: Sequence[str], due: float) -> None:
        for id_ in ids:
            self._held[id_].due = due
        if ids:
            heapq.heappush(self._heap, (due, next(self._tie), tuple(ids)))
        if len(self._heap) > 2 * len(self._held) + _SLACK:
            self._heap = [entry for entry in self._heap if self._is_alive(entry)]
            heapq.heapify(self._heap)

    def _is_alive(self, entry: tuple[float, int, tuple[str, ...]]) -> bool:
        """Whether the entry still plans anything; what is settled or planned anew leaves its entry behind."""
        due, _, ids = entry
        return any(id_ in self._held and self._held[id_].due == due for id_ in ids)


def hold_until(records: Iterable[Record], terms: Terms, max_hold: float, now: float, wall: float) -> float:
    """When a batch that was never accepted is let go, in monotonic seconds; its oldest record decides (D1).

    The earliest of `max_hold` and the longest a read can be held, both from the read, and the end of retention.
    """
    longest = min(max_hold, terms.longest)
    return min(min(record.read + longest, record.arrived + terms.retention - wall + now) for record in records)
