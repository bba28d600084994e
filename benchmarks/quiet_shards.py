"""What shards cost that bring nothing: a thousand in one process, each read once a second.

The calls themselves are the service's price, so a plain loop that makes as many is measured beside the engine.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.bench import Bench, stream_bench
from benchmarks.contenders import POLL_SECONDS, READY_SECONDS, ContenderError, require_alive
from benchmarks.gates import at_most, held
from benchmarks.outcome import Outcome
from benchmarks.processes import Child
from benchmarks.stream_contenders import PACED_ENGINE, STREAM_LEAN, StreamContender, StreamTerms
from benchmarks.stream_scenarios import STREAM

SHARDS = 1000
SETTLE_SECONDS = 5
WATCH_SECONDS = 30
MOST_BEYOND = 0.20
MOST_MB = 500
MOST_READS = 5.0  # what AWS gives of a shard in a second


@dataclass(frozen=True, slots=True)
class Quiet:
    """`start_seconds` until every shard was read; `share` is of a core.

    `reads` per second are of all shards together, `most` of the one that was read most.
    """

    start_seconds: float
    start_cpu: float
    share: float
    reads: float
    most: float
    throttled: int
    rss_mb: float


async def until_read(around: Bench, process: Child) -> None:
    """Until every shard was read."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not (await around.control("totals"))["fewest_reads"]:
                require_alive(process)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise ContenderError(f"not all shards are read after {READY_SECONDS} s:\n{process.tail()}") from None


async def rest(around: Bench, process: Child, seconds: float) -> Quiet:
    begun = time.monotonic()
    await until_read(around, process)
    start_seconds, start_cpu = time.monotonic() - begun, process.meter.look()[0]
    await asyncio.sleep(min(SETTLE_SECONDS, seconds))
    before, at, cpu = await around.control("totals"), time.monotonic(), process.meter.look()[0]
    while time.monotonic() < at + seconds:
        await asyncio.sleep(1)
        process.meter.look()
    after, lasted = await around.control("totals"), time.monotonic() - at
    return Quiet(
        start_seconds,
        start_cpu,
        (process.meter.look()[0] - cpu) / lasted,
        (after["reads"] - before["reads"]) / lasted,
        after["most_reads"] / (time.monotonic() - begun),
        after["throttled"],
        process.meter.peak_rss / 1e6,
    )


async def quiet(contender: StreamContender, shards: int, seconds: float) -> Quiet:
    """The server refuses what exceeds a shard's quota, as AWS does."""
    async with stream_bench(("--enforce",)) as around:
        stream = await around.create_stream(STREAM, shards)
        async with contender.run(around, stream, StreamTerms(batch=100)) as process:
            return await rest(around, process, seconds)


async def quiet_shards(scale: float) -> Outcome:
    """A scale below 1 means fewer shards and a shorter look, and says little of the full number."""
    shards, seconds = max(1, round(SHARDS * scale)), max(1.0, WATCH_SECONDS * scale)
    lean = await quiet(STREAM_LEAN, shards, seconds)
    engine = await quiet(PACED_ENGINE, shards, seconds)
    return Outcome(
        f"{shards} shards of one stream without a record, each read once a second",
        {
            "seconds until all were read": engine.start_seconds,
            "CPU seconds of the start": engine.start_cpu,
            "cores": engine.share,
            "cores, lean": lean.share,
            "reads per second": engine.reads,
            "reads per second, lean": lean.reads,
            "most reads per second of one shard": engine.most,
            "peak RSS MB": engine.rss_mb,
        },
        [
            at_most(
                f"share of a core beyond the lean loop, at most {MOST_BEYOND}",
                engine.share - lean.share,
                MOST_BEYOND,
            ),
            at_most(f"peak RSS in MB, at most {MOST_MB}", engine.rss_mb, MOST_MB),
            at_most("reads of a shard per second, at most 5", engine.most, MOST_READS),
            held("no read was refused", engine.throttled == 0),
        ],
    )
