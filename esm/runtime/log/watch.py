"""Notices a lane of a log that does not move."""

import asyncio
from collections.abc import Callable

from esm.runtime.lane_happenings import NotMoving
from esm.runtime.status.figures import LaneFigures
from esm.runtime.world import World

PATIENCE = 300.0
"""Seconds without movement after which a lane with data in it is reported, and again each time they pass."""

_EVERY = 30.0


async def watch(mapping: str, lane: str, figures: Callable[[], LaneFigures], world: World) -> None:
    """Tells of a lane that does not move although there is data, until cancelled."""
    moved, last = world.monotonic(), figures()
    while True:
        await asyncio.sleep(_EVERY)
        now, seen = world.monotonic(), figures()
        if (seen.at, seen.calls) != (last.at, last.calls) or not seen.has_data or seen.in_flight:
            moved, last = now, seen
        elif now - moved >= PATIENCE:
            world.tell(NotMoving(mapping, lane, now - moved, _why(seen)))
            moved, last = now, seen


def _why(seen: LaneFigures) -> str:
    if seen.is_answered:
        return seen.stalled or "nobody knows why"
    asked = "a read" if seen.is_open else "its opening"
    return f"the source has not answered {asked} for {seen.unanswered:.0f} s"
