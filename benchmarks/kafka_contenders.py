"""Who is measured on topics: the floors. Each is a process, and a consumer group that nobody had before."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.processes import Child, child

BATCH = 1000


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


KAFKA_CONTENDERS = {each.name: each for each in (floor("stock"), floor("lean"))}
