"""A target that is not called more often than its rate: `invocations_per_second`."""

import asyncio

from asyncio_throttle.throttler import Throttler

from esm.model import Invocation, Reply
from esm.ports import Target

_FINEST_WAIT = 0.01


class Throttled:
    """Lets at most `per_second` calls begin in any second; below one, a call every `1 / per_second` seconds.

    Calls begin in the order they came. Waiting happens before the target is asked, so its timeout is its own.
    """

    def __init__(self, target: Target, per_second: float) -> None:
        if per_second <= 0:
            raise ValueError("per_second must be above 0")
        calls = max(1, int(per_second))
        self._target = target
        self._rate = Throttler(calls, period=calls / per_second, retry_interval=_FINEST_WAIT)
        self._turn = asyncio.Lock()  # the throttler polls: one waiter at a time is enough, and it is the first

    async def invoke(self, call: Invocation) -> Reply:
        async with self._turn:
            await self._rate.acquire()  # type: ignore[no-untyped-call]
        return await self._target.invoke(call)
