"""What mappings cost that have nothing to do: many in one process, each with a long poll on its own queue."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.bench import Bench, bench
from benchmarks.contenders import ENGINE, Terms, until_polling
from benchmarks.gates import at_least, at_most
from benchmarks.outcome import Outcome
from benchmarks.processes import Child

MAPPINGS = 1000
SETTLE_SECONDS = 5
WATCH_SECONDS = 65  # three long polls of 20 s, and two rounds of what the engine asks each half minute
MOST_MB = 400
MOST_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Idleness:
    """`start_seconds` until every long poll was open; shares are of one core."""

    start_seconds: float
    start_cpu: float
    share: float
    server_share: float
    rss_mb: float
    waiting: int


async def rest(around: Bench, process: Child, mappings: int, seconds: float) -> Idleness:
    begun = time.monotonic()
    await until_polling(around, process, mappings)
    start_seconds = time.monotonic() - begun
    start_cpu, _ = process.meter.look()
    await asyncio.sleep(SETTLE_SECONDS)
    at, cpu, server_cpu = time.monotonic(), process.meter.look()[0], around.server_meter.look()[0]
    while time.monotonic() < at + seconds:
        await asyncio.sleep(1)
        process.meter.look()
    lasted = time.monotonic() - at
    return Idleness(
        start_seconds,
        start_cpu,
        (process.meter.look()[0] - cpu) / lasted,
        (around.server_meter.look()[0] - server_cpu) / lasted,
        process.meter.peak_rss / 1e6,
        (await around.queue_totals())["waiting"],
    )


async def idle_mappings(scale: float) -> Outcome:
    """A scale below 1 means fewer mappings and a shorter look, and says little of the full number."""
    mappings = max(1, round(MAPPINGS * scale))
    async with bench(0.0) as around:
        queues = [await around.create_queue(f"benchmark-{number}") for number in range(mappings)]
        async with ENGINE.run(around, queues, Terms()) as process:
            found = await rest(around, process, mappings, max(1.0, WATCH_SECONDS * scale))
    return Outcome(
        f"{mappings} mappings, each with an empty queue and a long poll of 20 s",
        {
            "seconds until all polled after ready": found.start_seconds,
            "CPU seconds of the start": found.start_cpu,
            "cores": found.share,
            "queue server, cores": found.server_share,
            "peak RSS MB": found.rss_mb,
        },
        [
            at_most(f"peak RSS in MB, at most {MOST_MB}", found.rss_mb, MOST_MB),
            at_most(f"share of a core, at most {MOST_SHARE}", found.share, MOST_SHARE),
            at_least("long polls open at the end, all but those between two", found.waiting, mappings * 0.95),
        ],
    )
