"""Who is measured on streams: the engine through its command line, and the floors. Each is a process."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
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
    bench: Bench, stream: str, terms: StreamTerms, pace: Mapping[str, float]
) -> dict[str, Any]:
    """One mapping; `pace` is what it may take of a shard, if less or more than AWS gives."""
    return {
        "namespace": "benchmark",
        "aws": {"region": "us-east-1", "endpoint_url": bench.endpoint},
        "server": {"listen": f"127.0.0.1:{free_port()}"},
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
async def stream_engine(configuration: dict[str, Any]) -> AsyncIterator[Child]:
    """Keeps its positions in a file, as an operator would; stopped at the end, with exit code 0."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        state = {"url": f"sqlite://{folder}/state.db"}
        async with configured_engine({**configuration, "state": state}) as process:
            yield process
            require_alive(process)
            await require_stopped(process)


def engine(name: str, pace: Mapping[str, float]) -> StreamContender:
    def run(bench: Bench, stream: str, terms: StreamTerms) -> AbstractAsyncContextManager[Child]:
        return stream_engine(stream_configuration(bench, stream, terms, pace))

    return StreamContender(name, run)


STREAM_LEAN = floor("lean")
STREAM_ENGINE = engine("engine", FASTEST)
PACED_ENGINE = engine("engine", {})
STREAM_CONTENDERS = {each.name: each for each in (floor("stock"), STREAM_LEAN, STREAM_ENGINE)}
