"""Partitions that nobody was given: a static member that is back gets what it had, and nobody looks for more.

Brokers share nothing out anew for a static member that is back within its session (KIP-345). Where that was the
last one that knew an older number of partitions, those that were added meanwhile would wait for the next member
to come or go (docs/decisions/0035-first-position.md). Whoever has a partition commits its first
position at once, so one that stays without a position has no owner.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from esm.errors import Disconnected

Look = Callable[[], Awaitable[Collection[int]]]
"""The partitions without a position. Raises `Disconnected`."""


@asynccontextmanager
async def adopting(look: Look, every: float, rejoin: Callable[[], None]) -> AsyncIterator[None]:
    """Has partitions shared out anew, while this is open, if some have no owner at two looks; once for each."""
    async with asyncio.TaskGroup() as upkeep:
        looking = upkeep.create_task(_look_after(look, every, rejoin))
        try:
            yield
        finally:
            looking.cancel()


async def _look_after(look: Look, every: float, rejoin: Callable[[], None]) -> None:
    before: Collection[int] = ()
    tried: set[int] = set()
    while True:
        await asyncio.sleep(every)
        try:
            found = await look()
        except Disconnected:  # those who read have noticed it too
            continue
        if lasting := set(found).intersection(before) - tried:
            tried |= lasting
            rejoin()
        before = found
