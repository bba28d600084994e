"""The scenarios that several contenders run in turn: a backlog as fast as it goes, and a paced trickle."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, replace

from benchmarks.bench import Account, Bench, LogAccount, bench
from benchmarks.bodies import body
from benchmarks.contenders import Contender, Terms, require_alive, until_polling
from benchmarks.figures import Sample, steady
from benchmarks.processes import Child, machine_busy

QUEUE_DELAY = 0.002
BODY_BYTES = 1024
LOOK_SECONDS = 0.05
DEADLINE_SECONDS = 120
USUAL = Terms()


@dataclass(frozen=True)
class Backlog:
    """Messages to be emptied; `offered` per second, 0: all are there before the contender starts."""

    messages: int = 40_000
    terms: Terms = USUAL
    target_delay: float = 0.0
    offered: int = 0

    def scaled(self, by: float) -> Backlog:
        return replace(self, messages=max(self.terms.batch, round(self.messages * by)))


@dataclass(frozen=True)
class Trickle:
    """`rate` in messages per second, `seconds` of it after one second that is not counted."""

    rate: int = 100
    seconds: int = 10
    terms: Terms = USUAL

    def scaled(self, by: float) -> Trickle:
        return replace(self, seconds=max(1, round(self.seconds * by)))


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender did once. `figures` has None where a run was too short to tell."""

    figures: dict[str, float | None]
    account: Account | LogAccount


async def look(bench: Bench, process: Child) -> tuple[Sample, int]:
    """A sample, and how many messages are deleted by now."""
    deleted = (await bench.queue_totals())["deleted"]
    return await sample(bench, process), deleted


async def sample(bench: Bench, process: Child) -> Sample:
    delivered = (await bench.seen("totals"))["distinct"]
    cpu, rss = process.meter.look()
    server_cpu, target_cpu = bench.server_meter.look()[0], bench.target_meter.look()[0]
    return Sample(time.monotonic(), delivered, cpu, rss, server_cpu, target_cpu, machine_busy())


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


async def empty(contender: Contender, load: Backlog) -> Run:
    """Measured from 20 % to 95 % of the deliveries. What is offered begins when the contender is ready for it."""
    async with bench(QUEUE_DELAY, "--delay", str(load.target_delay)) as around:
        queue = await around.create_queue("benchmark")
        if not load.offered:
            await around.preload(queue, load.messages, BODY_BYTES)
        async with contender.run(around, [queue], load.terms) as process:
            if load.offered:
                await until_polling(around, process, 1)
                await around.offer(queue, load.messages, BODY_BYTES, load.offered)
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


async def trickle(contender: Contender, load: Trickle) -> Run:
    """Single messages at a steady low rate; the first second opens the connections and is left out."""
    warm, total = load.rate, load.rate * (load.seconds + 1)
    async with bench(0.0) as around:
        queue = await around.create_queue("benchmark")
        async with contender.run(around, [queue], load.terms) as process:
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
