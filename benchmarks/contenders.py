"""Who is measured: the engine through its command line, and the floors. Each is a process."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.bench import Bench, Queue
from benchmarks.processes import Child, child

READY_SECONDS = 60
POLL_SECONDS = 0.02
STOP_SECONDS = 60


class ContenderError(Exception):
    """The contender did not start, or ended before it was told to; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every contender is told. `window`: seconds to gather for a batch; AWS wants one above 10 messages."""

    batch: int = 10
    concurrency: int = 16
    window: int = 0


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    run: Callable[[Bench, Sequence[Queue], Terms], AbstractAsyncContextManager[Child]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def require_alive(process: Child) -> None:
    if process.exit_code is not None:
        raise ContenderError(f"ended with {process.exit_code}:\n{process.tail()}")


async def until_polling(bench: Bench, process: Child, queues: int) -> None:
    """Wait until a long poll is open on as many connections as there are queues."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while (await bench.queue_totals())["waiting"] < queues:
                require_alive(process)
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise ContenderError(f"no long poll after {READY_SECONDS} s:\n{process.tail()}") from None


def floor(name: str) -> Contender:
    @contextlib.asynccontextmanager
    async def run(bench: Bench, queues: Sequence[Queue], terms: Terms) -> AsyncIterator[Child]:
        (queue,) = queues
        options = {
            "--endpoint": bench.endpoint,
            "--queue-url": queue.url,
            "--queue-arn": queue.arn,
            "--target": bench.invoke_url,
            "--workers": str(terms.concurrency),
            "--batch": str(terms.batch),
            "--window": str(terms.window),
        }
        flat = [part for option in options.items() for part in option]
        async with child("-m", f"benchmarks.floors.{name}", *flat) as process:
            yield process

    return Contender(name, run)


def engine_configuration(bench: Bench, queues: Sequence[Queue], terms: Terms, port: int) -> dict[str, Any]:
    """All mappings name one target, which a scenario may give limits."""
    mapping = {
        "target": "function",
        "batch_size": terms.batch,
        "maximum_batching_window_in_seconds": terms.window,
        "scaling_config": {"maximum_concurrency": terms.concurrency},
    }
    return {
        "namespace": "benchmark",
        "aws": {"region": "us-east-1", "endpoint_url": bench.endpoint},
        "server": {"listen": f"127.0.0.1:{port}"},
        "targets": {"function": {"type": "http", "url": bench.invoke_url, "timeout": "900s"}},
        "mappings": {
            f"m{number}": {"source": {"type": "sqs", "queue_url": queue.url}, **mapping}
            for number, queue in enumerate(queues)
        },
    }


async def until_ready(url: str, process: Child) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
            while True:
                require_alive(process)
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise ContenderError(f"not ready after {READY_SECONDS} s:\n{process.tail()}") from None


@contextlib.asynccontextmanager
async def configured_engine(configuration: dict[str, Any]) -> AsyncIterator[Child]:
    """`esm run` on a configuration; ready when this is entered, and stopped by the caller or killed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        file = Path(folder) / "esm.yaml"
        file.write_bytes(orjson.dumps(configuration))  # JSON is YAML
        async with child("-m", "esm", "run", "--config", str(file)) as process:
            await until_ready(f"http://{configuration['server']['listen']}", process)
            yield process


async def require_stopped(process: Child) -> None:
    """Tells it to stop, if nobody has; it has to end well."""
    process.terminate()
    code = await process.wait(STOP_SECONDS)
    if code != 0:
        raise ContenderError(f"ended with {code} after SIGTERM:\n{process.tail()}")


@contextlib.asynccontextmanager
async def started(bench: Bench, configuration: dict[str, Any]) -> AsyncIterator[Child]:
    """The engine, stopped at the end as an operator would; its exit code must be 0."""
    async with configured_engine(configuration) as process:
        yield process
        require_alive(process)
        process.terminate()
        # A receive in flight is awaited on stop: nothing is gained by waiting out a long poll of 20 s here.
        await bench.control("release")
        await require_stopped(process)


def engine_run(bench: Bench, queues: Sequence[Queue], terms: Terms) -> AbstractAsyncContextManager[Child]:
    return started(bench, engine_configuration(bench, queues, terms, free_port()))


ENGINE = Contender("engine", engine_run)
CONTENDERS = {contender.name: contender for contender in (floor("stock"), floor("lean"), ENGINE)}


def available(name: str) -> bool:
    return name != "engine" or importlib.util.find_spec("esm.__main__") is not None
