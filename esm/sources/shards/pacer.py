"""One turn after the other at a shard, for all mappings of the process that read it.

The quota of a shard is the service's, so it is kept per shard and not per reader. One read at a time is enough for
it, and then the size of every page is known before the next read begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from weakref import WeakKeyDictionary, WeakValueDictionary

from esm.core.pacing import Quota, free_after_throttle, free_at
from esm.errors import Disconnected
from esm.sources.shards.service import THROTTLED, Fetched
from esm.world import World


class Pacer:
    """The turns at one shard; first come, first served."""

    def __init__(self, quota: Quota, world: World) -> None:
        self._quota = quota
        self._world = world
        self._lock = asyncio.Lock()
        self._free_at = 0.0
        self._throttles = 0

    async def read(self, fetch: Callable[[], Awaitable[Fetched]]) -> Fetched:
        """Waits for a turn, then fetches. Raises what `fetch` raises."""
        async with self._lock:
            wait = self._free_at - self._world.monotonic()
            if wait > 0:
                await self._world.sleep(wait)
            began = self._world.monotonic()
            self._free_at = free_at(began, 0, self._quota)
            try:
                fetched = await fetch()
            except Disconnected as problem:
                if problem.code == THROTTLED:
                    self._hold_off()
                raise
            self._throttles = 0
            self._free_at = free_at(began, fetched.size, self._quota)
            return fetched

    def _hold_off(self) -> None:
        self._throttles += 1
        now, chance = self._world.monotonic(), self._world.chance()
        self._free_at = free_after_throttle(now, self._throttles, chance, self._quota)


_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, Pacer]] = WeakKeyDictionary()


def pacer_of(shard: Hashable, quota: Quota, world: World) -> Pacer:
    """The pacer that all readers of this shard on this event loop share; `shard` names it world-wide.

    The first of them decides on the quota.
    """
    pacers = _OF_LOOP.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    pacer = pacers.get(shard)
    if pacer is None:
        pacers[shard] = pacer = Pacer(quota, world)
    return pacer
