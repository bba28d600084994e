"""An engine over a fake log on virtual time, with all that was seen of it.

Nothing takes time here unless a test says so, and chance always lies in the middle.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from msgspec import structs
from runtime_world import EPOCH, PLENTY, Function, Steady, Told, now, opening, world

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.core.filtering import FilterSet
from esm.errors import StoreFailed, Undeliverable
from esm.model import Invocation, Notice, Reply
from esm.runtime.engine import Engine
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.stores import MemoryStore
from esm.testing.faults import Faults
from esm.testing.log.fake import FakeLog, FakeLogSource
from esm.testing.target import SUCCESS, Script


class NotedFunction(Function):
    """A function that notes the calls themselves as well."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.invocations: list[Invocation] = []

    async def invoke(self, call: Invocation) -> Reply:
        self.invocations.append(call)
        return await super().invoke(call)


class NotedStore:
    """A memory store that notes every row it wrote, and when; while `down` it fails."""

    def __init__(self) -> None:
        self.rows = MemoryStore()
        self.written: list[tuple[float, LaneRow]] = []
        self.down = False
        self.takes = 0.0

    async def view(self, scope: str) -> Collection[LaneRow]:
        return await self.rows.view(scope)

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        await asyncio.sleep(self.takes)
        if self.down:
            raise StoreFailed("disk full")
        self.written.append((now(), new))
        return await self.rows.swap(old, new)

    async def forget(self, row: LaneRow) -> bool:
        return await self.rows.forget(row)

    def commits(self, lane: str = "s00") -> list[tuple[float, Checkpoint]]:
        """The checkpoints of a lane, without those that only took its row."""
        return [
            (at, row.checkpoint) for at, row in self.written if row.lane == lane and row.counter and row.checkpoint
        ]

    async def row(self, lane: str = "s00") -> LaneRow:
        return next(row for row in await self.rows.view("id") if row.lane == lane)

    async def checkpoint(self, lane: str = "s00") -> Checkpoint:
        row = await self.row(lane)
        assert row.checkpoint is not None
        return row.checkpoint

    async def put(self, checkpoint: Checkpoint, lane: str = "s00") -> None:
        """What another run has left."""
        await self.rows.swap(None, LaneRow("id", lane, "before", 1, 7, checkpoint=checkpoint))


class NotedDestination:
    """Takes notices, each in `takes` seconds; while `down` it does not."""

    def __init__(self) -> None:
        self.notices: list[tuple[float, Notice]] = []
        self.tried: list[float] = []
        self.down = False
        self.takes = 0.0

    async def deliver(self, notice: Notice) -> None:
        self.tried.append(now())
        await asyncio.sleep(self.takes)
        if self.down:
            raise Undeliverable("closed")
        self.notices.append((now(), notice))

    @property
    def given(self) -> list[list[str]]:
        return [json.loads(notice.event) for _, notice in self.notices]

    @property
    def conditions(self) -> list[tuple[str, int]]:
        contexts = [notice.document["requestContext"] for _, notice in self.notices]
        return [(context["condition"], context["approximateInvokeCount"]) for context in contexts]


class LogRig:
    """An engine with one mapping over a log. `destinations` are its on-failure destination and fallbacks."""

    def __init__(  # noqa: PLR0913 -- each test wants one of them
        self, options: LogOptions | None = None, script: Script = lambda _: SUCCESS, *,
        destinations: int = 1, cap: int | None = None, memory_limit: int = PLENTY, start: Start | None = None,
        filters: FilterSet | None = None, tells_children: bool = True,
    ) -> None:  # fmt: skip
        self.log = FakeLog(now, epoch=EPOCH, tells_children=tells_children)
        self.rates: dict[str, float] = {}
        self.store = NotedStore()
        self.told = Told()
        self.function = NotedFunction(script)
        self.destinations = [NotedDestination() for _ in range(destinations)]
        self.source = FakeLogSource(self.log, Faults(Steady(), self.rates), start)
        self.plan = LogPlan(
            "orders", "id", True, self.source, "fn", options or LogOptions(),
            on_failure=[DestinationPlan(f"dead{n}", opening(each)) for n, each in enumerate(self.destinations)],
            function="arn:fn", filters=filters,
        )  # fmt: skip
        self._limits = cap, memory_limit
        self.board = StatusBoard(lambda: EPOCH + now())
        self.engine = self.anew()

    def anew(self, **options: Any) -> Engine:
        """An engine as after a restart, perhaps with other options."""
        self.plan = replace(self.plan, options=replace(self.plan.options, **options))
        cap, memory_limit = self._limits
        self.engine = Engine(
            EnginePlan(
                {"orders": self.plan},
                {"fn": TargetPlan("fn", opening(self.function), cap)},
                memory_limit,
                store=opening(self.store),
            ),
            self.board,
            world(self.told),
            45.0,
        )
        return self.engine

    @property
    def destination(self) -> NotedDestination:
        return self.destinations[0]

    def put(self, *keys: str, shard: str = "s00") -> list[str]:
        """Records with these keys, one letter each; returns their ids."""
        return [self.log.put(shard, key).id for word in keys for key in word]

    @asynccontextmanager
    async def running(self, seconds: float | None = None) -> AsyncIterator[None]:
        """The engine runs until `seconds`, or while the block does; then it is stopped and has drained."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run())
            yield
            if seconds is not None:
                await asyncio.sleep(seconds - now())
            self.engine.stop.set()

    async def crash_at(self, seconds: float) -> None:
        """Runs the engine until then, and no further."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.engine.run())
            await asyncio.sleep(seconds - now())
            running.cancel()

    async def steal(self, lane: str = "s00") -> None:
        row = await self.store.row(lane)
        await self.store.rows.swap(row, structs.replace(row, owner="thief", epoch=row.epoch + 1, counter=0))
