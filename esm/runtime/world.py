"""What the loops are given instead of taking it: time, chance, identity, and whom to tell.

In production these are the real ones; in a simulation time is virtual and chance is seeded.
"""

from collections.abc import Callable
from dataclasses import dataclass

from esm.runtime.happenings import Tell


@dataclass(frozen=True, slots=True)
class World:
    """`monotonic` and `wall` in seconds, `chance` uniform in [0, 1), `new_id` unique."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    chance: Callable[[], float]
    new_id: Callable[[], str]
    tell: Tell
