"""The scenarios that contenders run in turn on a topic of a real broker: a backlog as fast as it goes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import aiohttp

from benchmarks.bench import Bench
from benchmarks.kafka_broker import Filled, broker, filled, record_names
from benchmarks.kafka_contenders import KafkaContender
from benchmarks.processes import Meter, server
from benchmarks.scenarios import BODY_BYTES, Run
from benchmarks.stream_scenarios import figures_of, watch_target

STEADY = (0.15, 0.70)
"""The part of the deliveries that is measured: a consumer reads 100,000 records ahead, so what is fetched in it is
as much as what is delivered in it only if it ends that long before the end."""


@dataclass(frozen=True)
class KafkaBacklog:
    """Records that are there before the contender starts, evenly over partitions and keys."""

    records: int = 500_000
    body_bytes: int = BODY_BYTES
    partitions: int = 4
    keys: int = 20

    def scaled(self, by: float) -> KafkaBacklog:
        return replace(self, records=max(self.keys, round(self.records * by)))


@contextlib.asynccontextmanager
async def kafka_bench(*target_options: str) -> AsyncIterator[Bench]:
    """The broker that all share, and a fresh target."""
    real = broker()
    async with (
        server("benchmarks.target", "--kafka", *target_options) as (target, meter),
        aiohttp.ClientSession() as http,
    ):
        yield Bench(http, real.bootstrap, target, Meter(real.pid), meter)


async def drain_topic(contender: KafkaContender, load: KafkaBacklog) -> Run:
    topic = filled(Filled(load.records, load.partitions, load.keys, load.body_bytes))
    async with kafka_bench() as around:
        async with contender.run(around, topic.name) as process:
            samples = await watch_target(around, process, load.records)
        account = await around.account_of(record_names(topic))
        return Run(figures_of(samples, load.records, process, STEADY), account)
