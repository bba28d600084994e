"""A steady stream of messages, made inside the queue server: a client that sends thousands per second would
cost more than what is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

TICK_SECONDS = 0.001


def offer(count: int, per_second: float, send: Callable[[int], None]) -> None:
    """Calls `send` with how many are due by the clock, until `count` were sent: a late tick catches up."""
    loop, start = asyncio.get_running_loop(), time.monotonic()

    def tick(sent: int) -> None:
        due = min(count, int((time.monotonic() - start) * per_second))
        if due > sent:
            send(due - sent)
        if due < count:
            loop.call_later(TICK_SECONDS, tick, due)

    tick(0)
