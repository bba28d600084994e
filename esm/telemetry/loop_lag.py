"""How late the event loop runs: the one figure that tells a busy engine from a stuck one.

A task asks to be woken and sees how much later than asked it was. The longest delay of the last half minute is
kept, because a scrape that only sees the moment misses nearly every hiccup.
"""

from collections import deque
from collections.abc import Awaitable, Callable

_EVERY = 0.5
_REMEMBERED = 60


class LoopLag:
    """`monotonic` in seconds; `sleep` suspends for so many of them."""

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._delays: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def longest(self) -> float:
        """Seconds of the longest delay in the last half minute."""
        return max(tuple(self._delays), default=0.0)

    async def run(self) -> None:
        """Measures until it is cancelled."""
        while True:
            asked = self._monotonic()
            await self._sleep(_EVERY)
            self._delays.append(max(0.0, self._monotonic() - asked - _EVERY))
