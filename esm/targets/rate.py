"""How often a target may be called: `invocations_per_second`."""

import asyncio

from asyncio_throttle.throttler import Throttler

_FINEST_WAIT = 0.01


class Rate:
    """Lets at most `per_second` calls begin in any second; below one, a call every `1 / per_second` seconds."""

    def __init__(self, per_second: float) -> None:
        """Raises ValueError for a rate that is not above 0."""
        if per_second <= 0:
            raise ValueError("per_second must be above 0")
        calls = max(1, int(per_second))
        self._throttler = Throttler(calls, period=calls / per_second, retry_interval=_FINEST_WAIT)
        self._turn = asyncio.Lock()  # the throttler polls: one waiter at a time is enough, and it is the first

    async def turn(self) -> None:
        """Returns when the next call may begin, in the order of asking; giving up costs nothing."""
        async with self._turn:
            await self._throttler.acquire()  # type: ignore[no-untyped-call]
