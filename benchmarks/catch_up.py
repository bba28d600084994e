"""A long backlog over several shards: how fast, in how much memory, with how many calls and writes; and filtered.

One filter lets everything pass, so that its cost stands by itself; one lets a tenth pass, as filters do. Memory
must stay bounded: what is held, as the engine's own gauge says, and the whole process from outside.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.bench import Bench, LogAccount, stream_bench
from benchmarks.contenders import require_alive
from benchmarks.gates import at_most, held
from benchmarks.outcome import Outcome
from benchmarks.processes import Child
from benchmarks.scenarios import DEADLINE_SECONDS, QUEUE_DELAY
from benchmarks.stream_contenders import FASTEST, stream_configuration, stream_engine
from benchmarks.stream_scenarios import StreamBacklog, fill

LOOK_SECONDS = 0.25
LIMIT_MIB = 64
MOST_RSS_MIB = 400
ALL = {"data": {"n": [{"numeric": [">=", 0]}]}}
TENTH = {"kinesis": {"partitionKey": [{"suffix": "0"}]}, **ALL}
LOAD = StreamBacklog(1_000_000, shards=8)


@dataclass(frozen=True, slots=True)
class Caught:
    """One run: `seconds` and `cpu` from when the engine was ready until all that passes was delivered.

    `records` were in the backlog; `held` bytes and `rss` are the highest seen.
    """

    records: int
    seconds: float
    cpu: float
    held: int
    rss: int
    writes: int
    calls: int
    account: LogAccount

    def figures(self, what: str) -> dict[str, float]:
        return {
            f"records/s of the backlog, {what}": self.records / self.seconds,
            f"CPU us per record of the backlog, {what}": self.cpu / self.records * 1e6,
            f"held at most, MiB, {what}": self.held / 2**20,
            f"peak RSS MiB, {what}": self.rss / 2**20,
            f"checkpoint writes, {what}": self.writes,
            f"calls of the stream, {what}": self.calls,
        }


async def gauge(around: Bench, listen: str, name: str) -> int:
    """The sum over the series of a metric."""
    async with around.http.get(f"http://{listen}/metrics", raise_for_status=True) as answer:
        families = text_string_to_metric_families(await answer.text())
    return int(sum(sample.value for family in families for sample in family.samples if sample.name == name))


async def catch(load: StreamBacklog, filters: list[Mapping[str, Any]], passing: int) -> Caught:
    """`passing` records of the backlog have to arrive."""
    async with stream_bench(("--delay", str(QUEUE_DELAY))) as around:
        stream = await fill(around, load)
        configuration = stream_configuration(around, stream, load.terms, FASTEST)
        configuration["memory_limit"] = f"{LIMIT_MIB}MiB"
        patterns = [{"pattern": orjson.dumps(each).decode()} for each in filters]
        configuration["mappings"]["m"]["filter_criteria"] = {"filters": patterns}
        listen = configuration["server"]["listen"]
        async with stream_engine(configuration) as process:
            begun, cpu = time.monotonic(), process.meter.look()[0]
            held_bytes = await arrived(around, process, listen, passing)
            seconds, cpu = time.monotonic() - begun, process.meter.look()[0] - cpu
            writes = await gauge(around, listen, "esm_checkpoint_writes_total")
        calls = sum((await around.control("totals"))["calls"].values())
        account = await around.log_account()
        return Caught(load.records, seconds, cpu, held_bytes, process.meter.peak_rss, writes, calls, account)


async def arrived(around: Bench, process: Child, listen: str, passing: int) -> int:
    """Waits until all that passes has arrived, or for two minutes; the most bytes that were held."""
    most, give_up = 0, time.monotonic() + DEADLINE_SECONDS
    while (await around.seen("totals"))["distinct"] < passing and time.monotonic() < give_up:
        require_alive(process)
        await asyncio.sleep(LOOK_SECONDS)
        process.meter.look()
        most = max(most, await gauge(around, listen, "esm_held_bytes"))
    return most


async def catch_up(scale: float) -> Outcome:
    """A scale below 1 means a shorter backlog."""
    load = LOAD.scaled(scale)
    plain = await catch(load, [], load.records)
    kept = await catch(load, [ALL], load.records)
    tenth = await catch(load, [TENTH], load.records // 10)
    beyond = (kept.cpu - plain.cpu) / load.records * 1e6
    return Outcome(
        f"{load.records:,} records of 1 KiB in {load.shards} shards, batch {load.terms.batch:,}, {LIMIT_MIB} MiB",
        {
            **plain.figures("no filter"),
            **kept.figures("a filter that all pass"),
            "CPU us per record that the filter costs": beyond,
            **tenth.figures("a filter that a tenth passes"),
        },
        [
            at_most(
                f"bytes held in MiB, at most {LIMIT_MIB}",
                max(each.held for each in (plain, kept, tenth)) / 2**20,
                LIMIT_MIB,
            ),
            at_most(
                f"peak RSS in MiB, at most {MOST_RSS_MIB}",
                max(each.rss for each in (plain, kept, tenth)) / 2**20,
                MOST_RSS_MIB,
            ),
            held("nothing lost, each key in order", plain.account.balanced and kept.account.balanced),
            held("a tenth, and nothing else, was let through", is_tenth(tenth.account)),
        ],
    )


def is_tenth(account: LogAccount) -> bool:
    """The rest is missing, as it should be."""
    missing = account.sent - account.sent // 10
    return account.missing == missing and not (account.unexpected or account.malformed or account.overtaken)
