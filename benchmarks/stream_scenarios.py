"""The scenarios that contenders run in turn on a stream: a backlog as fast as it goes, and the cold start."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.bench import Bench, stream_bench
from benchmarks.contenders import require_alive
from benchmarks.figures import WINDOW, Sample, steady
from benchmarks.processes import Child
from benchmarks.scenarios import BODY_BYTES, DEADLINE_SECONDS, LOOK_SECONDS, QUEUE_DELAY, Run, sample
from benchmarks.stream_contenders import StreamContender, StreamTerms

STREAM = "benchmark"
DELAYED = ("--delay", str(QUEUE_DELAY))
USUAL = StreamTerms()


@dataclass(frozen=True)
class StreamBacklog:
    """Records that are there before the contender starts, evenly over the shards."""

    records: int = 200_000
    shards: int = 4
    keys: int = 1000
    body_bytes: int = BODY_BYTES
    terms: StreamTerms = USUAL

    def scaled(self, by: float) -> StreamBacklog:
        return replace(self, records=max(self.terms.batch, round(self.records * by)))


async def fill(around: Bench, load: StreamBacklog) -> str:
    """The ARN of a stream with the backlog in it."""
    stream = await around.create_stream(STREAM, load.shards)
    size: dict[str, Any] = {"Count": load.records, "BodyBytes": load.body_bytes, "Keys": load.keys}
    await around.control("preload", StreamName=STREAM, **size)
    return stream


async def watch_target(around: Bench, process: Child, total: int) -> list[Sample]:
    """Samples until everything has arrived, or for two minutes: then the account says what is missing."""
    samples: list[Sample] = []
    give_up = time.monotonic() + DEADLINE_SECONDS
    while not samples or (samples[-1].delivered < total and time.monotonic() < give_up):
        require_alive(process)
        await asyncio.sleep(LOOK_SECONDS)
        samples.append(await sample(around, process))
    return samples


async def drain(contender: StreamContender, load: StreamBacklog) -> Run:
    """Measured from 20 % to 95 % of the deliveries."""
    async with stream_bench(DELAYED) as around:
        stream = await fill(around, load)
        async with contender.run(around, stream, load.terms) as process:
            samples = await watch_target(around, process, load.records)
        return Run(figures_of(samples, load.records, process), await around.log_account())


def figures_of(
    samples: list[Sample], records: int, process: Child, part: tuple[float, float] = WINDOW
) -> dict[str, float | None]:
    window = steady(samples, records, part)
    figures: dict[str, float | None] = asdict(window) if window else {}
    if window and window.cpu_per_1000:
        figures["per_cpu_second"] = 1000 / window.cpu_per_1000
    whole = samples[-1].cpu / records * 1000
    return {**figures, "cpu_per_1000_whole_run": whole, "rss_mib": process.meter.peak_rss / 2**20}


async def first_record(contender: StreamContender, load: StreamBacklog) -> Run:
    """Seconds from starting the process to the first record at the target."""
    async with stream_bench() as around:
        stream = await fill(around, load)
        begun = time.monotonic()
        async with contender.run(around, stream, load.terms) as process:
            await watch_target(around, process, load.records)
            cpu, rss = process.meter.look()
        arrived = (await around.seen("arrivals"))[0]
        figures: dict[str, float | None] = {"first_s": arrived - begun, "cpu_s": cpu, "rss_mib": rss / 2**20}
        return Run(figures, await around.log_account())
