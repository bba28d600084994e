"""What stands around a log mapping in a simulation: a function, a destination and a store, all with faults."""

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Protocol

from msgspec import structs

from esm.checkpoint import LaneRow
from esm.errors import StoreFailed, Undeliverable
from esm.model import Errored, Invocation, Notice, Outcome, Refused, Reply, Returned
from esm.stores import MemoryStore
from esm.testing.faults import Faults
from sim.log_oracle import THIEF


class Outages:
    """Something that is away for a while, sometimes."""

    def __init__(self, faults: Faults, kind: str) -> None:
        self._faults = faults
        self._kind = kind
        self._until = 0.0

    def is_on(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now >= self._until and self._faults.hit(self._kind):
            self._until = now + self._faults.chance.choice([5.0, 60.0, 200.0])
        return now < self._until


async def refusal(faults: Faults, outage: Outages) -> Refused | None:
    """What a target says that is down, overloaded or not what the mapping takes it for."""
    if outage.is_on():
        await asyncio.sleep(0.01)
        return Refused(Outcome.UNREACHABLE, "scripted outage")
    for kind, outcome in (
        ("throttled", Outcome.THROTTLED),
        ("unreachable", Outcome.UNREACHABLE),
        ("misconfigured", Outcome.MISCONFIGURED),
    ):
        if faults.hit(kind):
            await asyncio.sleep(0.001)
            return Refused(outcome, "scripted", 2.0 if faults.hit("retry after") else None)
    return None


class Witness(Protocol):
    """Sees what a function is given."""

    def starts(self, ids: list[str]) -> None:
        """It is given these."""

    def answers(self, ids: list[str]) -> None:
        """The call was not cut off."""

    def ends(self, ids: list[str], succeeded: list[str]) -> None:
        """It, or what waited for it, is over."""


class LogFunction:
    """A target that fails, hangs, throttles and answers nonsense; `poison` it never takes.

    Whoever sends it one of `killers` is `killed`.
    """

    def __init__(self, oracle: Witness, faults: Faults, poison: set[str], *, reports_failures: bool) -> None:
        self._oracle = oracle
        self._faults = faults
        self._poison = poison
        self._reports = reports_failures
        self._outage = Outages(faults, "outage")
        self.killers: set[str] = set()
        self.killed = asyncio.Event()

    async def invoke(self, call: Invocation) -> Reply:
        ids: list[str] = json.loads(call.payload)
        if refused := await refusal(self._faults, self._outage):
            return refused
        self._oracle.starts(ids)
        if self.killers.intersection(ids):
            self.killed.set()
        failed = [id_ for id_ in ids if id_ in self._poison or self._faults.hit("record fails")]
        succeeded: list[str] = []
        try:
            if self.killed.is_set():
                await asyncio.Event().wait()
            await asyncio.sleep(
                self._faults.chance.uniform(0.0, 100.0 if self._faults.hit("slow function") else 0.5)
            )
            reply = self._answer(ids, failed)
            self._oracle.answers(ids)
            if isinstance(reply, Returned) and reply.payload != b"nonsense":
                succeeded = [id_ for id_ in ids if not failed or id_ < failed[0]]
            return reply
        finally:
            self._oracle.ends(ids, succeeded)

    def _answer(self, ids: list[str], failed: list[str]) -> Reply:
        if self._faults.hit("function error"):
            return Errored(Outcome.FUNCTION_ERROR, "scripted")
        if self._faults.hit("timeout"):
            return Errored(Outcome.TIMEOUT, "scripted")
        if not failed:
            return Returned(b"nonsense" if self._reports and self._faults.hit("nonsense") else b"{}")
        if not self._reports:
            return Errored(Outcome.FUNCTION_ERROR, "a record failed")
        reported = [id_ for id_ in reversed(ids) if id_ in failed]
        return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": id_} for id_ in reported]}).encode())


class Told(Protocol):
    """Who is to know what was given up."""

    def given_up(self, ids: list[str], condition: str) -> None: ...


class FakeDestination:
    """Takes notices, mostly."""

    def __init__(self, oracle: Told, faults: Faults, ids: Callable[[bytes], list[str]] = json.loads) -> None:
        self._oracle = oracle
        self._faults = faults
        self._ids = ids
        self._outage = Outages(faults, "destination outage")

    async def deliver(self, notice: Notice) -> None:
        await asyncio.sleep(self._faults.chance.uniform(0.001, 2.0))
        if self._outage.is_on() or self._faults.hit("destination fails"):
            raise Undeliverable("scripted")
        condition = notice.document["requestContext"]["condition"]
        self._oracle.given_up(self._ids(notice.event), condition)
        await asyncio.sleep(self._faults.chance.uniform(0.001, 2.0))
        if self._faults.hit("destination answer lost"):
            raise Undeliverable("the answer was lost on its way")


class FaultyStore:
    """A memory store whose writes fail, hang or lose their answer; `written` sees every row that is durable."""

    def __init__(self, faults: Faults, written: Callable[[LaneRow], None]) -> None:
        self.rows = MemoryStore()
        self._faults = faults
        self._written = written
        self._outage = Outages(faults, "store outage")

    async def view(self, scope: str) -> Collection[LaneRow]:
        await self._reach()
        return await self.rows.view(scope)

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        await self._reach()
        swapped = await self.rows.swap(old, new)
        if swapped:
            self._written(new)
        await self._latency()
        if self._faults.hit("store answer lost"):
            raise StoreFailed("the answer was lost on its way")
        return swapped

    async def forget(self, row: LaneRow) -> bool:
        await self._reach()
        return await self.rows.forget(row)

    async def steal(self, scope: str, chance: float) -> bool:
        """Somebody else takes a lane's row, and does nothing with it."""
        rows = [row for row in await self.rows.view(scope) if row.owner]
        if not rows:
            return False
        row = rows[int(chance * len(rows))]
        return await self.rows.swap(row, structs.replace(row, owner=THIEF, epoch=row.epoch + 1, counter=0))

    async def _reach(self) -> None:
        await self._latency()
        if self._outage.is_on() or self._faults.hit("store fails"):
            raise StoreFailed("scripted")

    async def _latency(self) -> None:
        await asyncio.sleep(self._faults.chance.uniform(0.001, 3.0 if self._faults.hit("slow store") else 0.02))
