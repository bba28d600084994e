"""The two scenarios that every contender runs: a backlog as fast as it goes, and a paced trickle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from benchmarks.bench import Account, Bench, bench
from benchmarks.bodies import body
from benchmarks.contenders import Contender, require_alive, until_polling
from benchmarks.figures import Sample, steady
from benchmarks.processes import Child

QUEUE_DELAY = 0.002
BODY_BYTES = 1024
LOOK_SECONDS = 0.05
DEADLINE_SECONDS = 120


@dataclass(frozen=True)
class Load:
    """How much; `rate` in messages per second, `seconds` of it after one second that is not counted."""

    messages: int = 40_000
    concurrency: int = 16
    rate: int = 100
    seconds: int = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender did once. `figures` has None where a run was too short to tell."""

    figures: dict[str, float | None]
    account: Account


async def look(bench: Bench, process: Child) -> tuple[Sample, int]:
    """A sample, and how many messages are deleted by now."""
    deleted = (await bench.queue_totals())["deleted"]
    delivered = (await bench.seen("totals"))["distinct"]
    cpu, rss = process.meter.look()
    queue_cpu, target_cpu = bench.queue_meter.look()[0], bench.target_meter.look()[0]
    return Sample(time.monotonic(), delivered, cpu, rss, queue_cpu, target_cpu), deleted


async def watch(bench: Bench, process: Child, total: int) -> list[Sample]:
    """Samples until everything is deleted, or for two minutes: then the account says what is missing."""
    samples, deleted = [], 0
    give_up = time.monotonic() + DEADLINE_SECONDS
    while deleted < total and time.monotonic() < give_up:
        require_alive(process)
        await asyncio.sleep(LOOK_SECONDS)
        sample, deleted = await look(bench, process)
        samples.append(sample)
    return samples


async def throughput(contender: Contender, load: Load) -> Run:
    """A backlog that is there before the contender starts; measured from 20 % to 95 % of the deliveries."""
    async with bench(QUEUE_DELAY) as around:
        queue = await around.create_queue("benchmark")
        await around.preload(queue, load.messages, BODY_BYTES)
        async with contender.run(around, [queue], load.concurrency) as process:
            samples = await watch(around, process, load.messages)
            account = await around.account()
        window = steady(samples, load.messages)
        figures: dict[str, float | None] = asdict(window) if window else {}
        whole = samples[-1].cpu / load.messages * 1000
        rss = process.meter.peak_rss / 2**20
        return Run({**figures, "cpu_per_1000_whole_run": whole, "rss_mib": rss}, account)


async def send_paced(around: Bench, url: str, numbers: range, rate: int) -> None:
    """One message each 1/rate seconds by the clock, so that one late send does not shift the rest."""
    start = time.monotonic()
    for turn, number in enumerate(numbers):
        await asyncio.sleep(max(0.0, start + turn / rate - time.monotonic()))
        await around.sqs("SendMessage", QueueUrl=url, MessageBody=body(number, time.monotonic(), BODY_BYTES))


async def latency(contender: Contender, load: Load) -> Run:
    """Single messages at a steady low rate; the first second opens the connections and is left out."""
    warm, total = load.rate, load.rate * (load.seconds + 1)
    async with bench(0.0) as around:
        queue = await around.create_queue("benchmark")
        async with contender.run(around, [queue], load.concurrency) as process:
            await until_polling(around, process, 1)
            await send_paced(around, queue.url, range(warm), load.rate)
            before, _ = await look(around, process)
            await send_paced(around, queue.url, range(warm, total), load.rate)
            after = (await watch(around, process, total))[-1]
            ages = await around.seen(f"latency/{warm}")
            account = await around.account()
        cost = (after.cpu - before.cpu) / (total - warm) * 1000
        rss = process.meter.peak_rss / 2**20
        return Run({**ages, "cpu_per_1000": cost, "rss_mib": rss}, account)


SCENARIOS: dict[str, Callable[[Contender, Load], Awaitable[Run]]] = {
    "sqs-throughput": throughput,
    "sqs-latency": latency,
}
