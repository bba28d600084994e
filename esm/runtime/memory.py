"""The bytes of records held over all lanes of the process, and who waits for room.

Back-pressure, not accounting to the byte: a lane that finds the memory full reads one page at most while it
holds nothing, so that no lane starves, and is woken when there is room again.
"""

from collections.abc import Callable


class Memory:
    """A budget of `limit` bytes shared by every lane."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        return self.used >= self.limit

    def hold(self, size: int) -> None:
        """Counts bytes in. Never refuses: what has been read is held."""
        self.used += size

    def free(self, size: int) -> None:
        """Counts bytes out, and wakes those who wait if that made room."""
        self.used -= size
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, []
            for wake in waiting:
                wake()

    def when_room(self, wake: Callable[[], None]) -> None:
        """Calls `wake` once, when there is room again."""
        if wake not in self._waiting:
            self._waiting.append(wake)
