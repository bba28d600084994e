"""A buffer that keeps the order of each key: who is handed out is locked until its owner is done.

What is done for each record, and for each key where there are many, is written out in place: calls would cost more
than the work.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter

from msgspec import Struct

from esm.core.buffers.fitting import fitting, size
from esm.model import Record

_in_order = attrgetter("seq")


class KeyRule(Struct, frozen=True):
    """What order is kept by: `key_of` gives a record's key. `whole`: what waits of a key is never split over two
    batches unless it alone exceeds one (D23); otherwise a batch ends with the front of a key that fits no more.
    """

    key_of: Callable[[Record], str | None]
    whole: bool


GROUPS = KeyRule(attrgetter("key"), whole=True)
"""Message groups of a queue."""

KEYS = KeyRule(attrgetter("key"), whole=False)
"""Keys of a log: a batch is filled to its share."""


def _one_for_all(_: Record) -> str | None:
    return None


ONE_KEY = KeyRule(_one_for_all, whole=False)
"""A log whose records are sent one batch after the other, in order of position."""


class _Line(Struct, gc=False, eq=False):
    """What waits under one key, and its bytes. Nothing waits in a line that was left."""

    key: str | None
    records: list[Record]
    bytes: int


class KeyedBuffer:
    """Per-key order by locks.

    A key that gets its first record stands in `_fresh`, whose order is then the order of oldest records; a key
    that is unlocked with records waiting goes to the heap `_back`. Both hold (number of the oldest record, line).
    An entry is stale, and skipped, once its key is locked or that record no longer waits first.
    """

    def __init__(self, rule: KeyRule = GROUPS) -> None:
        self._key_of, self._whole = rule.key_of, rule.whole
        self._by_key: dict[str | None, _Line] = {}
        self._fresh: deque[tuple[int, _Line]] = deque()
        self._back: list[tuple[int, _Line]] = []
        self._locked: set[str | None] = set()
        self._waiting = 0
        self.ready = 0
        self.ready_bytes = 0

    def __len__(self) -> int:
        return self._waiting

    @property
    def oldest_read(self) -> float:
        oldest = self.oldest
        return oldest.read if oldest else 0.0

    @property
    def oldest(self) -> Record | None:
        """Of what is ready, the first that was read."""
        line = self._oldest()
        return line.records[0] if line else None

    def extend(self, records: Iterable[Record]) -> None:
        key_of, by_key, locked = self._key_of, self._by_key, self._locked
        waiting = blocked = all_bytes = blocked_bytes = 0
        for record in records:
            key = key_of(record)
            length = len(record.event) + 1
            if (line := by_key.get(key)) is not None:
                line.records.append(record)
                line.bytes += length
            else:
                line = by_key[key] = _Line(key, [record], length)
                if key not in locked:
                    self._fresh.append((record.seq, line))
            waiting += 1
            all_bytes += length
            if key in locked:
                blocked += 1
                blocked_bytes += length
        self._waiting += waiting
        self.ready += waiting - blocked
        self.ready_bytes += all_bytes - blocked_bytes

    def take(self, limit: int, room: int) -> list[Record]:
        """The oldest keys with all they have, as long as they fit; locks them; sorted by source order.

        Whole keys are split only if one alone exceeds `limit` or `room`: then its front is taken, at least one.
        Others are split where the batch is full.
        """
        by_key, locked, oldest = self._by_key, self._locked, self._oldest
        batch: list[Record] = []
        keys = used = 0
        while len(batch) < limit and (line := oldest()):
            if len(batch) + len(line.records) <= limit and used + line.bytes <= room:
                locked.add(line.key)
                del by_key[line.key]
                batch += line.records
                used += line.bytes
                line.records = []
                keys += 1
                continue
            if batch and self._whole:
                break
            count, more = fitting(line.records, limit - len(batch), room - used)
            if not batch and not count:
                count, more = 1, size(line.records[0])
            batch += self._cut(line, count, more)
            used += more
            keys += 1
            if not count or not self._whole:
                break
        self._waiting -= len(batch)
        self.ready -= len(batch)
        self.ready_bytes -= used
        if keys > 1:
            batch.sort(key=_in_order)
        return batch

    def unlock(self, batch: Iterable[Record]) -> None:
        """Gives the keys of a settled batch free."""
        self.unlock_keys(map(self._key_of, batch))

    def lock(self, keys: Iterable[str | None]) -> None:
        """For an owner that did not take its records here; nothing of these keys may wait yet."""
        self._locked.update(keys)

    def unlock_keys(self, keys: Iterable[str | None]) -> None:
        """Gives these free, as far as they are locked."""
        free = self._locked.intersection(keys)
        self._locked -= free
        for key in free & self._by_key.keys():
            line = self._by_key[key]
            heapq.heappush(self._back, (line.records[0].seq, line))
            self.ready += len(line.records)
            self.ready_bytes += line.bytes

    def remove(self, lost: Iterable[Record]) -> list[Record]:
        """Takes out whatever waits under the keys of `lost`, and returns it.

        Whole keys, because order would break otherwise: what follows a lost record must not be sent before it.
        """
        found: list[Record] = []
        for key in dict.fromkeys(map(self._key_of, lost)):
            line = self._by_key.pop(key, None)
            if line:
                found += self._left(line)
        return found

    def clear(self) -> list[Record]:
        """Takes everything out; locks stay with their owners."""
        everything = sorted((record for line in self._by_key.values() for record in line.records), key=_in_order)
        self._by_key.clear()
        self._fresh.clear()
        self._back.clear()
        self._waiting = self.ready = self.ready_bytes = 0
        return everything

    def _cut(self, line: _Line, count: int, used: int) -> list[Record]:
        """Takes the front, if any of it fits, and locks the key: the rest is not ready any more."""
        front = line.records[:count]
        if front:
            del line.records[:count]
            line.bytes -= used
            self._locked.add(line.key)
            self.ready -= len(line.records)
            self.ready_bytes -= line.bytes
        return front

    def _left(self, line: _Line) -> list[Record]:
        """Nobody stands in this line any more."""
        self._waiting -= len(line.records)
        if line.key not in self._locked:
            self.ready -= len(line.records)
            self.ready_bytes -= line.bytes
        gone, line.records = line.records, []
        return gone

    def _oldest(self) -> _Line | None:
        """What waits under the unlocked key with the oldest record."""
        fresh, back, locked = self._fresh, self._back, self._locked
        while fresh:
            seq, line = fresh[0]
            if line.records and line.records[0].seq == seq and line.key not in locked:
                break
            fresh.popleft()
        while back:
            seq, line = back[0]
            if line.records and line.records[0].seq == seq and line.key not in locked:
                break
            heapq.heappop(back)
        if not fresh:
            return back[0][1] if back else None
        return fresh[0][1] if not back or fresh[0][0] < back[0][0] else back[0][1]
