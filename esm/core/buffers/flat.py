"""A buffer without any order but that in which records came."""

from collections import deque
from collections.abc import Iterable

from esm.core.buffers.fitting import fitting, size
from esm.model import Record


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
        count, used = fitting(self._waiting, limit, room)
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
