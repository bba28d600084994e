"""What the source is given instead of taking it: time."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """`monotonic` and `wall` in seconds; called from more than one thread."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
