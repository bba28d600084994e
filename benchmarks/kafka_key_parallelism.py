"""What `parallelization_factor` is worth on a topic: one partition, few keys, a function of a few milliseconds.

Once in the engine's own process, where a call costs next to nothing, and once behind HTTP with one POST for each
record. The time is that from the first arrival at the function to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import spread_handler
from benchmarks.arrivals import Arrivals
from benchmarks.bench import Bench, LogAccount, account_between
from benchmarks.contenders import require_alive
from benchmarks.gates import at_most, held
from benchmarks.kafka_arrivals import good_kafka_ones
from benchmarks.kafka_broker import Filled, filled, record_names
from benchmarks.kafka_contenders import by_http, topic_configuration, topic_engine
from benchmarks.kafka_scenarios import kafka_bench
from benchmarks.outcome import Outcome
from benchmarks.processes import Child
from benchmarks.scenarios import BODY_BYTES, DEADLINE_SECONDS, LOOK_SECONDS
from benchmarks.stream_scenarios import watch_target
from servers import Topic

LOAD = Filled(10_000, partitions=1, keys=20, body_bytes=BODY_BYTES)
FACTOR = 20
FACTORS = (1, 10, FACTOR, 100)
SLOWEST_SECONDS = spread_handler.SLOWEST_MILLISECONDS / 1000
MOST_INSIDE, MOST_BY_HTTP = 1.8, 3.0


class Paced(NamedTuple):
    """One run: seconds from the first record to the last, CPU seconds of the engine, and the account."""

    seconds: float
    cpu: float
    account: LogAccount


def engine(around: Bench, topic: Topic, factor: int, target: dict[str, Any]) -> AbstractAsyncContextManager[Child]:
    terms = {"batch_size": 1, "maximum_batching_window_in_seconds": 0, "parallelization_factor": factor}
    return topic_engine(topic_configuration(around, topic.name, terms, target))


async def by_posts(load: Filled, factor: int) -> Paced:
    topic = filled(load)
    async with kafka_bench("--spread", str(SLOWEST_SECONDS)) as around:
        async with engine(around, topic, factor, by_http(around)) as process:
            samples = await watch_target(around, process, load.records)
        moments = await around.seen("arrivals")
        account = await around.account_of(record_names(topic))
        return Paced(moments[-1] - moments[0], samples[-1].cpu, account)


@contextlib.asynccontextmanager
async def own_handler() -> AsyncIterator[tuple[dict[str, Any], Path]]:
    """A handler of this run as a target, and the file that it writes to."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        module = Path(spread_handler.__file__)
        shutil.copy(module, folder)
        target = {"type": "python", "handler": f"{module.stem}:handler", "path": folder}
        yield target, Path(folder) / spread_handler.ARRIVALS


def lines_of(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


async def until_written(file: Path, process: Child, records: int) -> None:
    """So many lines, or two minutes: then the account says what is missing."""
    give_up = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < give_up and lines_of(file) < records:
        require_alive(process)
        await asyncio.sleep(LOOK_SECONDS)


def noted(file: Path) -> Arrivals:
    arrivals = Arrivals(good_kafka_ones)
    for line in file.read_bytes().splitlines():
        moment, event = line.split(b" ", 1)
        arrivals.note(event, float(moment))
    return arrivals


async def inside(load: Filled, factor: int) -> Paced:
    topic = filled(load)
    async with kafka_bench() as around, own_handler() as (target, file):
        async with engine(around, topic, factor, target) as process:
            await until_written(file, process, load.records)
            cpu, _ = process.meter.look()
        arrivals = noted(file)
        account = account_between(record_names(topic), set(arrivals.deliveries), arrivals.totals())
        return Paced(arrivals.moments[-1] - arrivals.moments[0], cpu, account)


async def kafka_key_parallelism(scale: float) -> Outcome:
    """The same records with each factor inside the engine, then with the gate's factor by HTTP."""
    load = LOAD._replace(records=max(LOAD.keys, round(LOAD.records * scale)))
    runs = {factor: await inside(load, factor) for factor in FACTORS}
    posted = await by_posts(load, FACTOR)
    seconds, slowest = runs[FACTOR].seconds, runs[1].seconds
    accounts = [each.account for each in (*runs.values(), posted)]
    return Outcome(
        f"{load.records:,} records of one partition, {load.keys} keys, one by one, 0 to 5 ms each: to beat, "
        "confluent's parallel consumer 0.5.3.2 takes 2.07 s with the work inside, 3.7 to 3.8 s with a POST each",
        {
            **{f"records/s inside, factor {factor}": load.records / run.seconds for factor, run in runs.items()},
            **{f"x factor 1, factor {factor}": slowest / run.seconds for factor, run in runs.items()},
            f"s inside, factor {FACTOR}": seconds,
            f"CPU s inside, factor {FACTOR}": runs[FACTOR].cpu,
            f"s by HTTP, factor {FACTOR}": posted.seconds,
            f"CPU s by HTTP, factor {FACTOR}": posted.cpu,
        },
        [
            at_most(f"seconds inside the engine, factor {FACTOR}, at most {MOST_INSIDE:g}", seconds, MOST_INSIDE),
            at_most(f"seconds by HTTP, factor {FACTOR}, at most {MOST_BY_HTTP:g}", posted.seconds, MOST_BY_HTTP),
            held("nothing lost, each key in order", all(each.balanced for each in accounts)),
        ],
    )
