"""How long a record takes from its producer to the function, at a steady rate that nobody finds hard."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from benchmarks.bench import Bench
from benchmarks.contenders import READY_SECONDS, ContenderError
from benchmarks.kafka_broker import broker, record_names
from benchmarks.kafka_contenders import KafkaContender
from benchmarks.kafka_scenarios import kafka_bench
from benchmarks.processes import Child, child
from benchmarks.scenarios import BODY_BYTES, Run
from benchmarks.stream_scenarios import watch_target
from servers import Topic, TopicMaker


@dataclass(frozen=True)
class KafkaTrickle:
    """`rate` in records per second, `seconds` of it after `warm` seconds that are not counted.

    One partition: a broker on a busy machine is the limit long before a thousand requests per second.
    """

    rate: int = 1000
    seconds: int = 10
    warm: int = 4
    partitions: int = 1
    keys: int = 20

    def scaled(self, by: float) -> KafkaTrickle:
        return replace(self, seconds=max(1, round(self.seconds * by)))


@contextlib.asynccontextmanager
async def offered(around: Bench, topic: Topic, load: KafkaTrickle, numbers: range) -> AsyncIterator[None]:
    """They are sent meanwhile, and all are at the broker at the end."""
    options = {
        "bootstrap": around.endpoint,
        "topic": topic.name,
        "first": numbers.start,
        "count": len(numbers),
        "rate": load.rate,
        "keys": load.keys,
        "partitions": load.partitions,
        "size": BODY_BYTES,
    }
    flat = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    async with child("-m", "benchmarks.kafka_offer", *flat) as process:
        yield
        if await process.wait(2 * (load.warm + load.seconds) + READY_SECONDS) != 0:
            raise ContenderError(f"not offered: {process.tail()}")


async def until_reading(around: Bench, process: Child, topic: Topic, load: KafkaTrickle) -> None:
    """One record of each key, which wait until the contender has its partitions."""
    async with offered(around, topic, load, range(load.keys)):
        samples = await watch_target(around, process, load.keys)
    if samples[-1].delivered < load.keys:
        raise ContenderError(f"reads nothing:\n{process.tail()}")


async def trickle_topic(contender: KafkaContender, load: KafkaTrickle) -> Run:
    """What is counted comes behind what opens the connections."""
    topic = TopicMaker("trickle")(broker().bootstrap, partitions=load.partitions)
    counted = load.keys + load.rate * load.warm
    total = counted + load.rate * load.seconds
    async with kafka_bench() as around:
        async with contender.run(around, topic.name) as process:
            await until_reading(around, process, topic, load)
            async with offered(around, topic, load, range(load.keys, total)):
                before = (await watch_target(around, process, counted))[-1]
                after = (await watch_target(around, process, total))[-1]
        ages = await around.seen(f"latency/{counted}")
        cost = (after.cpu - before.cpu) / (total - before.delivered) * 1000
        figures = {**ages, "cpu_per_1000": cost, "rss_mib": process.meter.peak_rss / 2**20}
        return Run(figures, await around.account_of(record_names(topic)))
