"""A function of a benchmark that runs inside the engine: it sleeps, and writes beside itself what it was given.

Copied to a folder of its own for each run. A line is the moment (seconds of the monotonic clock) and the event as
JSON; it is written before the sleep, so that the order of the lines is that in which the calls began.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from functools import cache
from pathlib import Path
from typing import Any

import orjson

ARRIVALS = "arrivals"
SLOWEST_MILLISECONDS = 5

chance = random.Random(0)


@cache
def seen() -> int:
    """The file, opened with the first call: to import this writes nothing."""
    return os.open(Path(__file__).with_name(ARRIVALS), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


async def handler(event: dict[str, Any], _: Any) -> None:
    """Whole milliseconds from 0 to 5, the same in each run."""
    os.write(seen(), b"%f %b\n" % (time.monotonic(), orjson.dumps(event)))
    await asyncio.sleep(chance.randint(0, SLOWEST_MILLISECONDS) / 1000)
