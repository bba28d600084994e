"""A member without partitions: others have them, or nobody can say whose they are.

The client joins again by itself, and says nothing while the group's coordinator is away. Where a lane is read that
tells of it; where there is none the mapping would be well and do nothing, for as long as that lasts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from esm.errors import Disconnected

_EVERY = 15.0

Ask = Callable[[], Awaitable[object]]
"""Asks the coordinator something. Raises `Disconnected`."""


class Member(Protocol):
    """Who may be without partitions."""

    @property
    def has_lanes(self) -> bool:
        """Some partitions are ours."""

    def tell_absence(self, problem: Disconnected | None, pause: float) -> None:
        """That none is ours, and why the group cannot be reached if so; asked again after `pause` seconds."""


@asynccontextmanager
async def minding(ask: Ask, member: Member) -> AsyncIterator[None]:
    """Has it told, while this is open, whether the group can be reached when nothing of it is ours."""
    async with asyncio.TaskGroup() as upkeep:
        asking = upkeep.create_task(_mind(ask, member))
        try:
            yield
        finally:
            asking.cancel()


async def _mind(ask: Ask, member: Member) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        if member.has_lanes:
            continue
        problem = await _problem(ask)
        if not member.has_lanes:
            member.tell_absence(problem, _EVERY)


async def _problem(ask: Ask) -> Disconnected | None:
    try:
        await ask()
    except Disconnected as problem:
        return problem
    return None
