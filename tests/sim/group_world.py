"""What stands around a topic's mapping in a simulation: a source for each engine, and a function with faults."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from esm.model import DataKeys, Errored, Invocation, Outcome, Reply, Returned
from esm.testing.group.fake import FakeMember
from esm.testing.group.source import FakeGroupSource, Process
from sim.log_world import Outages, refusal

if TYPE_CHECKING:
    from sim.group_history import GroupHistory


class Source(Protocol):
    """A `GroupSource` in a process that can be stopped; `member` is what it is to the group."""

    codec: Any
    drain: float
    process: Process
    member: FakeMember | None

    def join(self) -> Any: ...


class Wiring(NamedTuple):
    """How an engine comes to the group: its source by name, how events read as ids, where filters look."""

    source: Callable[["GroupHistory", str], Source]
    ids: Callable[[bytes], list[str]]
    keys: DataKeys


def _fake_source(history: "GroupHistory", name: str) -> Source:
    return FakeGroupSource(history.group, history.faults, name, drain=5.0, latest=history.latest)


PLAIN = Wiring(_fake_source, json.loads, DataKeys())


class GroupFunction:
    """A function that lists what failed by partition and offset; `poison` it never takes."""

    def __init__(self, history: "GroupHistory", source: Source) -> None:
        self._history = history
        self._source = source
        self._outage = Outages(history.faults, "outage")

    async def invoke(self, call: Invocation) -> Reply:
        history, faults = self._history, self._history.faults
        ids = history.wiring.ids(call.payload)
        since = self._since(ids[0].partition(":")[0])
        await self._source.process.running()
        if refused := await refusal(faults, self._outage):
            return refused
        history.oracle.starts(ids, since)
        if history.killers.intersection(ids):
            history.kill(self._source)
        failed = [id_ for id_ in ids if id_ in history.poison or faults.hit("record fails")]
        succeeded: list[str] = []
        try:
            await asyncio.sleep(faults.chance.uniform(0.0, history.slow if faults.hit("slow function") else 0.5))
            reply = self._answer(ids, failed)
            history.records.answers(ids)
            if isinstance(reply, Returned) and reply.payload != b"nonsense":
                succeeded = [id_ for id_ in ids if id_ not in failed]
        except asyncio.CancelledError:
            history.oracle.cut_off(ids)
            raise
        finally:
            history.oracle.ends(ids, succeeded, since)
        await self._source.process.running()
        return reply

    def _since(self, lane: str) -> int | None:
        member = self._source.member
        return None if member is None else member.told.get(lane)

    def _answer(self, ids: list[str], failed: list[str]) -> Reply:
        faults, reports = self._history.faults, self._history.options.reports_failures
        if faults.hit("function error"):
            return Errored(Outcome.FUNCTION_ERROR, "scripted")
        if faults.hit("timeout"):
            return Errored(Outcome.TIMEOUT, "scripted")
        if not failed:
            return Returned(b"nonsense" if reports and faults.hit("nonsense") else b"{}")
        if not reports:
            return Errored(Outcome.FUNCTION_ERROR, "a record failed")
        names = [
            {"partition": id_.partition(":")[0], "offset": self._history.records.entries[id_].position}
            for id_ in reversed(failed)
        ]
        return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": name} for name in names]}).encode())


def drawn_options(chance: random.Random) -> dict[str, Any]:
    """Of the mapping."""
    return {
        "batch_size": chance.choice([1, 4, 20]),
        "window": chance.choice([0.0, 0.5, 2.0]),
        "parallelization_factor": chance.choice([1, 1, 2, 10, 100]),
        "maximum_retry_attempts": chance.choice([0, 1, 3]),
        "maximum_record_age": chance.choice([None, None, None, 60.0]),
        "bisect": chance.random() < 0.5,
        "reports_failures": chance.random() < 0.6,
        "checkpoint_interval": chance.choice([0.1, 1.0, 5.0]),
        "wait": chance.choice([1.0, 20.0]),
    }
