"""What this source is given instead of taking it: time, chance and identity."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """`monotonic` and `wall` in seconds, `chance` uniform in [0, 1), `new_id` unique for ever."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    new_id: Callable[[], str]
