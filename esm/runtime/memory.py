"""The bytes of records held over all lanes of the process, and who waits for room.

What open reads may still bring is counted too, at the size that records lately had; before any was seen, at a
size that few exceed. A lane that holds nothing may always read one record, so that no lane starves; whatever
goes beyond that needs room, and a lane that found none is woken when there is some again.
"""

from collections.abc import Callable

_FORGETTING = 0.1
_USABLE = 15 / 16
_UNKNOWN = 128 * 1024.0


class Memory:
    """A budget of `limit` bytes shared by every lane; `typical` is the size expected of the first record."""

    def __init__(self, limit: int, typical: float = _UNKNOWN) -> None:
        self.limit = limit
        self.used = 0
        self._awaited = 0
        self._typical = typical
        self._waiting: list[Callable[[], None]] = []

    @property
    def room(self) -> int:
        """Records for which there is room; 0 when the memory is full.

        A sixteenth of the limit is kept free for records that turn out larger than the last ones were.
        """
        return max(0, int((self.limit * _USABLE - self.used) / self._typical) - self._awaited)

    @property
    def full(self) -> bool:
        """What is held alone leaves no room for another record; what reads may still bring does not count."""
        return self.limit * _USABLE - self.used < self._typical

    def expect(self, records: int) -> None:
        """A read was opened that may bring so many."""
        self._awaited += records

    def arrived(self, expected: int) -> None:
        """That read has ended; what it brought is held by now."""
        self._awaited -= expected
        self._wake()

    def hold(self, size: int, records: int) -> None:
        """Counts bytes in. Never refuses: what has been read is held."""
        self.used += size
        if records:
            average = size / records
            self._typical = max(average, 1.0, self._typical + (average - self._typical) * _FORGETTING)

    def free(self, size: int) -> None:
        """Counts bytes out."""
        self.used -= size
        self._wake()

    def when_room(self, wake: Callable[[], None]) -> None:
        """Calls `wake` once, when there is room again."""
        if wake not in self._waiting:
            self._waiting.append(wake)

    def _wake(self) -> None:
        if self._waiting and self.room:
            waiting, self._waiting = self._waiting, []
            for wake in waiting:
                wake()
