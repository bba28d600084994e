"""What sources are given instead of taking it: time, chance and identity.

In production these are the real ones, in a simulation time is virtual and chance is seeded.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class World:
    """`monotonic` and `wall` in seconds, `chance` uniform in [0, 1), `new_id` unique for ever.

    All but `sleep` may be called in another thread.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    chance: Callable[[], float]
    new_id: Callable[[], str]


def real_world() -> World:
    """That of production."""
    return World(time.monotonic, time.time, asyncio.sleep, random.random, lambda: str(uuid.uuid4()))
