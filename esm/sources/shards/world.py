"""What these sources are given instead of taking it: time and chance."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """`monotonic` and `wall` in seconds, `chance` uniform in [0, 1)."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
