"""What has been read and not yet sent, in the order it must be sent.

Two honest kinds. A `FlatBuffer` keeps no order beyond first come, first served. A `KeyedBuffer` keeps the
order of each key: a batch locks the keys it takes, and records of a locked key wait until their owner unlocks
it. Both hand out the oldest first and count what is ready, so that triggers need no scan.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Protocol

from msgspec import Struct

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


def size(record: Record) -> int:
    """Bytes a record takes in a payload: its fragment and one separator."""
    return len(record.event) + 1


class Buffer(Protocol):
    """Either kind."""

    @property
    def ready(self) -> int: ...
    @property
    def ready_bytes(self) -> int: ...
    @property
    def oldest_read(self) -> float: ...
    def __len__(self) -> int: ...
    def extend(self, records: Iterable[Record]) -> None: ...
    def take(self, limit: int, room: int) -> list[Record]: ...
    def unlock(self, batch: Iterable[Record]) -> None: ...
    def remove(self, lost: Iterable[Record]) -> list[Record]: ...
    def clear(self) -> list[Record]: ...


def _fitting(waiting: Iterable[Record], limit: int, room: int) -> tuple[int, int]:
    """How many records from the front fit, and their bytes."""
    count = used = 0
    for record in waiting:
        after = used + len(record.event) + 1
        if count == limit or after > room:
            break
        count += 1
        used = after
    return count, used


class FlatBuffer:
    """First come, first served; nothing is ever locked."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()
        self.ready_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> int:
        return len(self._waiting)

    @property
    def oldest_read(self) -> float:
        return self._waiting[0].read

    def extend(self, records: Iterable[Record]) -> None:
        for record in records:
            self._waiting.append(record)
            self.ready_bytes += size(record)

    def take(self, limit: int, room: int) -> list[Record]:
        """The oldest that fit together into `limit` records and `room` bytes; at least one if any waits."""
        count, used = _fitting(self._waiting, limit, room)
        if not count and self._waiting:
            count, used = 1, size(self._waiting[0])
        self.ready_bytes -= used
        return [self._waiting.popleft() for _ in range(count)]

    def unlock(self, batch: Iterable[Record]) -> None:
        """Nothing was locked."""

    def remove(self, lost: Iterable[Record]) -> list[Record]:
        """Takes `lost` out, as far as they still wait, and returns those it found."""
        ids = {record.id for record in lost}
        found = [record for record in self._waiting if record.id in ids]
        if found:
            self._waiting = deque(record for record in self._waiting if record.id not in ids)
            self.ready_bytes -= sum(map(size, found))
        return found

    def clear(self) -> list[Record]:
        """Takes everything out."""
        everything, self._waiting = list(self._waiting), deque()
        self.ready_bytes = 0
        return everything


class _Line:
    """What waits under one key, and its bytes."""

    __slots__ = ("bytes", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.bytes = 0

    def cut(self, count: int, used: int) -> list[Record]:
        """Takes the front."""
        self.bytes -= used
        taken = self.records[:count]
        del self.records[:count]
        return taken


class KeyedBuffer:
    """Per-key order by locks.

    A key that gets its first record stands in `_fresh`, whose order is then the order of oldest records; a key
    that is unlocked with records waiting goes to the heap `_back`. Both hold (number of the oldest record, key).
    An entry is stale, and skipped, once its key is locked or that record no longer waits first.
    """

    def __init__(self, rule: KeyRule = GROUPS) -> None:
        self._key_of, self._whole = rule.key_of, rule.whole
        self._by_key: dict[str | None, _Line] = {}
        self._fresh: deque[tuple[int, str | None]] = deque()
        self._back: list[tuple[int, str | None]] = []
        self._locked: set[str | None] = set()
        self._waiting = 0
        self.ready = 0
        self.ready_bytes = 0

    def __len__(self) -> int:
        return self._waiting

    @property
    def oldest_read(self) -> float:
        oldest = self._oldest()
        return oldest.records[0].read if oldest else 0.0

    @property
    def oldest(self) -> Record | None:
        """Of what is ready, the first that was read."""
        oldest = self._oldest()
        return oldest.records[0] if oldest else None

    def extend(self, records: Iterable[Record]) -> None:
        key_of, by_key, locked = self._key_of, self._by_key, self._locked  # the loop is hot
        waiting = ready = ready_bytes = 0
        for record in records:
            key = key_of(record)
            line = by_key.get(key)
            if line is None:
                line = by_key[key] = _Line()
                if key not in locked:
                    self._fresh.append((record.seq, key))
            size_ = len(record.event) + 1
            line.records.append(record)
            line.bytes += size_
            waiting += 1
            if key not in locked:
                ready += 1
                ready_bytes += size_
        self._waiting += waiting
        self.ready += ready
        self.ready_bytes += ready_bytes

    def take(self, limit: int, room: int) -> list[Record]:
        """The oldest keys with all they have, as long as they fit; locks them; sorted by source order.

        Whole keys are split only if one alone exceeds `limit` or `room`: then its front is taken, at least one.
        Others are split where the batch is full.
        """
        batch: list[Record] = []
        keys = 0
        while len(batch) < limit and (line := self._oldest()):
            count, used = self._front(line, limit - len(batch), room)
            is_cut = count < len(line.records)
            if batch and is_cut and (self._whole or not count):
                break
            if not count:
                count, used = 1, size(line.records[0])
            batch += self._lock_front(self._key_of(line.records[0]), line, count, used)
            room -= used
            keys += 1
            if is_cut and not self._whole:
                break
        if keys > 1:
            batch.sort(key=_in_order)
        return batch

    def unlock(self, batch: Iterable[Record]) -> None:
        """Gives the keys of a settled batch free."""
        self.unlock_keys(dict.fromkeys(map(self._key_of, batch)))

    def lock(self, keys: Iterable[str | None]) -> None:
        """For an owner that did not take its records here; nothing of these keys may wait yet."""
        self._locked.update(keys)

    def unlock_keys(self, keys: Iterable[str | None]) -> None:
        """Gives these free, as far as they are locked."""
        for key in keys:
            if key not in self._locked:
                continue
            self._locked.remove(key)
            if line := self._by_key.get(key):
                heapq.heappush(self._back, (line.records[0].seq, key))
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
                self._forget(key, line)
                found += line.records
        return found

    def clear(self) -> list[Record]:
        """Takes everything out; locks stay with their owners."""
        everything = sorted((record for line in self._by_key.values() for record in line.records), key=_in_order)
        self._by_key.clear()
        self._fresh.clear()
        self._back.clear()
        self._waiting = self.ready = self.ready_bytes = 0
        return everything

    def _front(self, line: _Line, limit: int, room: int) -> tuple[int, int]:
        """How many records from the front fit, and their bytes."""
        if len(line.records) <= limit and line.bytes <= room:
            return len(line.records), line.bytes
        return _fitting(line.records, limit, room)

    def _lock_front(self, key: str | None, line: _Line, count: int, used: int) -> list[Record]:
        self.ready -= len(line.records)
        self.ready_bytes -= line.bytes
        self._waiting -= count
        self._locked.add(key)
        taken = line.cut(count, used)
        if not line.records:
            del self._by_key[key]
        return taken

    def _forget(self, key: str | None, line: _Line) -> None:
        self._waiting -= len(line.records)
        if key not in self._locked:
            self.ready -= len(line.records)
            self.ready_bytes -= line.bytes

    def _oldest(self) -> _Line | None:
        """What waits under the unlocked key with the oldest record."""
        fresh, back = self._fresh, self._back
        while fresh and self._is_stale(fresh[0]):
            fresh.popleft()
        while back and self._is_stale(back[0]):
            heapq.heappop(back)
        if not fresh:
            return self._by_key[back[0][1]] if back else None
        return self._by_key[fresh[0][1] if not back or fresh[0][0] < back[0][0] else back[0][1]]

    def _is_stale(self, entry: tuple[int, str | None]) -> bool:
        seq, key = entry
        if key in self._locked:
            return True
        line = self._by_key.get(key)
        return line is None or line.records[0].seq != seq
