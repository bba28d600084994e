"""Who is measured on streams: the engine through its command line, and the floors. Each is a process."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.contenders import configured_engine, free_port, require_alive, require_stopped
from benchmarks.processes import Child, child

FASTEST = {"shard_reads_per_second": 1000, "shard_bytes_per_second": 10**12}
"""A shard of AWS gives 2 MB per second; what a record costs is seen where the shard is not what holds us up."""


@dataclass(frozen=True, slots=True)
class StreamTerms:
    """What every contender is told. `factor` batches of a shard at once; only the engine takes another than 1."""

    batch: int = 1000
    factor: int = 1


@dataclass(frozen=True, slots=True)
class StreamContender:
    name: str
    run: Callable[[Bench, str, StreamTerms], AbstractAsyncContextManager[Child]]


def floor(name: str) -> StreamContender:
    @contextlib.asynccontextmanager
    async def run(bench: Bench, stream: str, terms: StreamTerms) -> AsyncIterator[Child]:
        options = {
            "--endpoint": bench.endpoint,
            "--stream-arn": stream,
            "--target": bench.invoke_url,
            "--batch": str(terms.batch),
        }
        flat = [part for option in options.items() for part in option]
        async with child("-m", f"benchmarks.floors.kinesis_{name}", *flat) as process:
            yield process

    return StreamContender(name, run)


def stream_configuration(
    bench: Bench, stream: str, terms: StreamTerms, pace: dict[str, Any], state: str
) -> dict[str, Any]:
    """One mapping; `pace` is what it may take of a shard, `state` the file that keeps its positions."""
    return {
        "namespace": "benchmark",
        "aws": {"region": "us-east-1", "endpoint_url": bench.endpoint},
        "server": {"listen": f"127.0.0.1:{free_port()}"},
        "state": {"url": f"sqlite://{state}"},
        "targets": {"function": {"type": "http", "url": bench.invoke_url, "timeout": "900s"}},
        "mappings": {
            "m": {
                "source": {"type": "kinesis", "stream": stream, **pace},
                "target": "function",
                "starting_position": "TRIM_HORIZON",
                "batch_size": terms.batch,
                "parallelization_factor": terms.factor,
            }
        },
    }


@contextlib.asynccontextmanager
async def stream_engine(
    bench: Bench, stream: str, terms: StreamTerms, pace: dict[str, Any], **settings: Any
) -> AsyncIterator[tuple[Child, str]]:
    """The engine and where its metrics are; stopped at the end as an operator would. `settings`: of the mapping."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        configuration = stream_configuration(bench, stream, terms, pace, f"{folder}/state.db")
        configuration["mappings"]["m"] |= settings
        async with configured_engine(configuration) as process:
            yield process, f"http://{configuration['server']['listen']}/metrics"
            require_alive(process)
            await require_stopped(process)


@contextlib.asynccontextmanager
async def fastest_engine(bench: Bench, stream: str, terms: StreamTerms) -> AsyncIterator[Child]:
    async with stream_engine(bench, stream, terms, FASTEST) as (process, _):
        yield process


STREAM_CONTENDERS = {
    contender.name: contender
    for contender in (floor("stock"), floor("lean"), StreamContender("engine", fastest_engine))
}
