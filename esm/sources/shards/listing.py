"""Watches which shards a stream has.

Listing is paced, because services allow few such calls and answer them with every shard there is: about once a
minute, and when a shard was read to its end, whose children are wanted at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

from esm.model import Lane
from esm.world import World

_AUDIT = 60.0
_JITTER = 0.2
_SOONEST = 1.0


class Listing:
    """`ask` lists all shards of the stream, however many calls that takes. Raises what it raises."""

    def __init__(self, ask: Callable[[], Awaitable[Collection[Lane]]], world: World) -> None:
        self._ask = ask
        self._world = world
        self._known: Mapping[str, Lane] | None = None
        self._childless: set[str] = set()
        self._nudged = asyncio.Event()

    def ended(self, lane: str) -> None:
        """A lane was read to its end: unless its children are known, they are looked for at once."""
        if not self._has_children(lane):
            self._childless.add(lane)
            self._nudged.set()

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """All of them, and again when they have changed."""
        told: Mapping[str, Lane] | None = None
        searches = 0
        while True:
            self._nudged.clear()
            listed = self._known = {lane.name: lane for lane in await self._ask()}
            self._childless = {name for name in self._childless if name in listed and not self._has_children(name)}
            searches = searches + 1 if self._childless else 0
            if listed != told:
                told = listed
                yield tuple(listed.values())
            await self._pause(searches)

    def _has_children(self, parent: str) -> bool:
        return any(parent in lane.parents for lane in (self._known or {}).values())

    async def _pause(self, searches: int) -> None:
        """Until the next audit is due or a lane ends; shorter while children are missing, and longer each time."""
        listed = self._world.monotonic()
        pause = _AUDIT * (1 - _JITTER + 2 * _JITTER * self._world.chance())
        if searches:
            pause = min(pause, _SOONEST * 2.0 ** min(searches - 1, 8))
        try:
            async with asyncio.timeout(pause):
                await self._nudged.wait()
        except TimeoutError:
            return
        await self._world.sleep(max(0.0, listed + _SOONEST - self._world.monotonic()))
