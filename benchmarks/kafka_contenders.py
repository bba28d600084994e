"""Who is measured on topics: the engine through its command line, and the floors. Each is a process, and a
consumer group that nobody had before.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.contenders import configured_engine, free_port, require_alive, require_stopped
from benchmarks.processes import Child, child

BATCH = 1000
USUAL = {"batch_size": BATCH, "maximum_batching_window_in_seconds": 0}
"""Whoever says nothing of the window gathers for half a second, as on AWS; the floors do not."""


@dataclass(frozen=True, slots=True)
class KafkaContender:
    """`run` is told the surroundings and the topic."""

    name: str
    run: Callable[[Bench, str], AbstractAsyncContextManager[Child]]


def floor(name: str) -> KafkaContender:
    @contextlib.asynccontextmanager
    async def run(bench: Bench, topic: str) -> AsyncIterator[Child]:
        options = {
            "--bootstrap": bench.endpoint,
            "--topic": topic,
            "--group": uuid.uuid4().hex,
            "--target": bench.invoke_url,
            "--batch": str(BATCH),
        }
        flat = [part for option in options.items() for part in option]
        async with child("-m", f"benchmarks.floors.kafka_{name}", *flat) as process:
            yield process

    return KafkaContender(name, run)


def topic_configuration(
    bench: Bench, topic: str, terms: Mapping[str, Any], target: Mapping[str, Any]
) -> dict[str, Any]:
    """One mapping with these terms; the group is of this run, and holds the positions."""
    source = {
        "type": "kafka",
        "bootstrap_servers": [bench.endpoint],
        "topic": topic,
        "consumer_group_id": uuid.uuid4().hex,
    }
    return {
        "namespace": "benchmark",
        "server": {"listen": f"127.0.0.1:{free_port()}"},
        "targets": {"function": target},
        "mappings": {"m": {"source": source, "target": "function", "starting_position": "TRIM_HORIZON", **terms}},
    }


def by_http(bench: Bench) -> dict[str, Any]:
    """The target as the function of an engine."""
    return {"type": "http", "url": bench.invoke_url, "timeout": "900s"}


@contextlib.asynccontextmanager
async def topic_engine(configuration: dict[str, Any]) -> AsyncIterator[Child]:
    """Stopped at the end as an operator would; its exit code must be 0."""
    async with configured_engine(configuration) as process:
        yield process
        require_alive(process)
        await require_stopped(process)


def engine_run(bench: Bench, topic: str) -> AbstractAsyncContextManager[Child]:
    return topic_engine(topic_configuration(bench, topic, USUAL, by_http(bench)))


TOPIC_ENGINE = KafkaContender("engine", engine_run)
KAFKA_CONTENDERS = {each.name: each for each in (floor("stock"), floor("lean"), TOPIC_ENGINE)}
