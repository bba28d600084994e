"""What has been read and not yet sent, in the order it must be sent.

Two honest kinds. A `FlatBuffer` keeps no order beyond first come, first served. A `KeyedBuffer` keeps the
order of each key: a batch locks the keys it takes, and records of a locked key wait until their owner unlocks
it. Both hand out the oldest first and count what is ready, so that triggers need no scan.
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from esm.model import Record

_in_order = attrgetter("seq")


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
        if count == limit or used + size(record) > room:
            break
        count += 1
        used += size(record)
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


class KeyedBuffer:
    """Per-key order by locks.

    A key that gets its first record stands in `_fresh`, whose order is then the order of oldest records; a key
    that is unlocked with records waiting goes to the heap `_back`. Both hold (number of the oldest record, key).
    An entry is stale, and skipped, once its key is locked or that record no longer waits first.
    """

    def __init__(self) -> None:
        self._by_key: dict[str | None, deque[Record]] = {}
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
        return oldest[0].read if oldest else 0.0

    def extend(self, records: Iterable[Record]) -> None:
        for record in records:
            self._waiting += 1
            waiting = self._by_key.get(record.key)
            if waiting is None:
                self._by_key[record.key] = deque((record,))
                if record.key not in self._locked:
                    self._fresh.append((record.seq, record.key))
            else:
                waiting.append(record)
            if record.key not in self._locked:
                self.ready += 1
                self.ready_bytes += size(record)

    def take(self, limit: int, room: int) -> list[Record]:
        """The oldest keys with all they have, as long as they fit; locks them; sorted by source order.

        A key is split only if it alone exceeds `limit` or `room`: then its front is taken, at least one.
        """
        batch: list[Record] = []
        keys = 0
        while waiting := self._oldest():
            count, used = _fitting(waiting, limit - len(batch), room)
            if count < len(waiting) and batch:
                break
            if not count:
                count, used = 1, size(waiting[0])
            batch += self._lock_front(waiting[0].key, count)
            room -= used
            keys += 1
        if keys > 1:
            batch.sort(key=_in_order)
        return batch

    def unlock(self, batch: Iterable[Record]) -> None:
        """Gives the keys of a settled batch free."""
        for key in dict.fromkeys(record.key for record in batch):
            if key not in self._locked:
                continue
            self._locked.remove(key)
            if waiting := self._by_key.get(key):
                heapq.heappush(self._back, (waiting[0].seq, key))
                self.ready += len(waiting)
                self.ready_bytes += sum(map(size, waiting))

    def remove(self, lost: Iterable[Record]) -> list[Record]:
        """Takes out whatever waits under the keys of `lost`, and returns it.

        Whole keys, because order would break otherwise: what follows a lost record must not be sent before it.
        """
        found: list[Record] = []
        for key in dict.fromkeys(record.key for record in lost):
            waiting = self._by_key.pop(key, None)
            if waiting:
                found += self._forget(key, waiting)
        return found

    def clear(self) -> list[Record]:
        """Takes everything out; locks stay with their owners."""
        everything = sorted((record for waiting in self._by_key.values() for record in waiting), key=_in_order)
        self._by_key.clear()
        self._fresh.clear()
        self._back.clear()
        self._waiting = self.ready = self.ready_bytes = 0
        return everything

    def _lock_front(self, key: str | None, count: int) -> Sequence[Record]:
        waiting = self._by_key[key]
        self.ready -= len(waiting)
        self.ready_bytes -= sum(map(size, waiting))
        self._waiting -= count
        self._locked.add(key)
        taken = [waiting.popleft() for _ in range(count)]
        if not waiting:
            del self._by_key[key]
        return taken

    def _forget(self, key: str | None, waiting: Collection[Record]) -> Collection[Record]:
        self._waiting -= len(waiting)
        if key not in self._locked:
            self.ready -= len(waiting)
            self.ready_bytes -= sum(map(size, waiting))
        return waiting

    def _oldest(self) -> deque[Record] | None:
        """What waits under the unlocked key with the oldest record."""
        while self._fresh and self._is_stale(self._fresh[0]):
            self._fresh.popleft()
        while self._back and self._is_stale(self._back[0]):
            heapq.heappop(self._back)
        heads = [queue[0] for queue in (self._fresh, self._back) if queue]
        return self._by_key[min(heads)[1]] if heads else None

    def _is_stale(self, entry: tuple[int, str | None]) -> bool:
        seq, key = entry
        return key in self._locked or key not in self._by_key or self._by_key[key][0].seq != seq
