"""One seeded history of a mapping from a DynamoDB table on virtual time: the real engine and the real source.

The service is a fake whose shards roll over, split and are listed late, whose streams are made anew, trimmed and
forgotten; a crash is a cancel and a restart from the store.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from benchmarks.fake_dynamodb_streams import FakeStreams, refused
from esm.checkpoint import LaneRow
from esm.clients.aws import AwsOptions
from esm.core.log.lineage import EVERY_LANE
from esm.model import Invocation, Reply
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import RecordsLost
from esm.runtime.plan import EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.sources.dynamodb import DynamoOptions, DynamoSource
from esm.sources.dynamodb.lineage import label_of
from esm.testing.faults import Faults
from esm.world import World as SourceWorld
from sim.history import EPOCH, must
from sim.log_history import opening
from sim.log_world import FaultyStore, LogFunction
from sim.table_oracle import TableOracle, numbers_of

FOREVER = 4 * 3600.0

FAULTS = (
    "call throttled", "service error", "service answer lost", "slow service", "throttled", "unreachable",
    "function error", "timeout", "record fails", "slow function", "store fails", "store answer lost", "slow store",
)  # fmt: skip
"""Drawn at every call."""

EVENTS = (
    "crash", "stop", "rolled over", "split", "listed late", "made anew", "unlisted", "forgotten", "trimmed",
    "iterators expired", "quiet pages", "deleted by time", "records lost",
)  # fmt: skip
"""What the history itself does, and what is told of it."""


class FaultyStreams(FakeStreams):
    """A service whose calls fail, hang or lose their answer."""

    def __init__(self, history: "TableHistory") -> None:
        super().__init__(history.wall)
        self._faults = history.faults

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        hit = self._faults.hit
        await asyncio.sleep(self._faults.chance.uniform(0.0, 5.0 if hit("slow service") else 0.02))
        if hit("call throttled"):
            raise refused("LimitExceededException", operation)
        if hit("service error"):
            raise refused("InternalServerError", operation)
        answer = await super().call(operation, arguments)
        if hit("service answer lost"):
            raise refused("InternalServerError", operation)
        return answer


class EventFunction:
    """A scripted function that is told the sequence numbers in an event."""

    def __init__(self, function: LogFunction) -> None:
        self._function = function

    async def invoke(self, call: Invocation) -> Reply:
        ids = [record["dynamodb"]["SequenceNumber"] for record in json.loads(call.payload)["Records"]]
        return await self._function.invoke(structs.replace(call, payload=json.dumps(ids).encode()))


class TableHistory:
    """Everything one seed decides; `fixed` overrides what it would."""

    def __init__(self, seed: int, **fixed: Any) -> None:
        chance = self.chance = random.Random(seed)
        self.now = asyncio.get_running_loop().time
        self.faults = Faults(chance, {kind: chance.choice([0.0, 0.0, 0.02, 0.1]) for kind in FAULTS})
        self.fake = FaultyStreams(self)
        self.fake.page = chance.choice([2, 100])
        self.fake.knows_filter = chance.random() < 0.7
        self.fake.knows_at_timestamp = chance.random() < 0.5
        self.fake.lists_old_streams = chance.random() < 0.5
        self.by_table = fixed.get("by_table", chance.random() < 0.7)
        self.latest = chance.random() < 0.5
        self.trims = chance.random() < 0.3
        self.keys = chance.choice([1, 5, 20])
        factor = chance.choice([1, 1, 4])
        self.options = LogOptions(
            batch_size=chance.choice([1, 10, 100]),
            parallelization_factor=factor,
            bisect=chance.random() < 0.3,
            reports_failures=chance.random() < 0.5,
            checkpoint_interval=chance.choice([0.1, 1.0, 5.0]),
        )
        self.oracle = TableOracle(self.fake.table, factor)
        self.store = FaultyStore(self.faults, self.oracle.committed)
        self._arn = self.fake.table.stream.arn
        self._written = False

    def wall(self) -> float:
        return EPOCH + self.now()

    async def play(self) -> None:
        """Runs the engine through stops and crashes while the table lives, then until everything is finished."""
        for _ in range(self.chance.choice([0, 30])):
            self._put()
        await asyncio.sleep(5.0)
        async with asyncio.TaskGroup() as tasks:
            await self._begin(tasks)
            tasks.create_task(self._live())
            while not self._written:
                await self._session(tasks, self.chance.uniform(1.0, 30.0))
            last = self._engine()
            running = tasks.create_task(last.run())
            await self._finished()
            last.stop.set()
            await running

    def _engine(self) -> Engine:
        world = World(self.now, self.wall, self.chance.random, self._id, self._tell)
        options = DynamoOptions(table="orders") if self.by_table else DynamoOptions(stream=self._arn)
        source_world = SourceWorld(self.now, self.wall, asyncio.sleep, self.chance.random, self._id)
        source = DynamoSource(options, AwsOptions(), self.fake.lease, latest=self.latest, world=source_world)
        function = LogFunction(self.oracle, self.faults, set(), reports_failures=self.options.reports_failures)
        plan = LogPlan("orders", "id", True, source, "fn", self.options)
        targets = {"fn": TargetPlan("fn", opening(EventFunction(function)))}
        plans = EnginePlan({"orders": plan}, targets, 10**6, store=opening(self.store))
        return Engine(plans, StatusBoard(self.wall), world, grace=45.0)

    def _id(self) -> str:
        return f"{self.chance.getrandbits(64):016x}"

    def _tell(self, happening: Happening) -> None:
        self.faults.fired["records lost"] += isinstance(happening, RecordsLost)

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Until it is written down where the mapping begins."""
        engine = self._engine()
        running = tasks.create_task(engine.run())
        while (row := (await self._rows()).get(EVERY_LANE)) is None or row.start is None:  # noqa: ASYNC110 -- the time is virtual
            await asyncio.sleep(0.1)
        self.oracle.begins(row.start)
        engine.stop.set()
        await running

    async def _session(self, tasks: asyncio.TaskGroup, seconds: float) -> None:
        engine = self._engine()
        running = tasks.create_task(engine.run())
        await asyncio.sleep(seconds)
        if self.chance.random() < 0.6:
            self.faults.fired["crash"] += 1
            running.cancel()
            await asyncio.wait([running])
        else:
            self.faults.fired["stop"] += 1
            engine.stop.set()
            await running

    async def _live(self) -> None:
        """What happens to the table."""
        for _ in range(self.chance.choice([20, 60])):
            for _ in range(self.chance.randrange(8)):
                self._put()
            await self._happen()
            await asyncio.sleep(self.chance.choice([0.01, 1.0, 1.0, 20.0]) * self.chance.random())
        self.fake.table.show()
        self._written = True

    def _put(self) -> None:
        key = f"k{self.chance.randrange(self.keys)}"
        expired = key in self.fake.table.items and self.chance.random() < 0.1
        self.faults.fired["deleted by time"] += expired
        table = self.fake.table
        self.oracle.accepted(key, table.delete(key, expired=True) if expired else table.put(key))

    async def _happen(self) -> None:
        draw = self.chance.random()
        if draw < 0.1:
            self._roll()
        elif draw < 0.14 and self.by_table:
            await self._make_anew()
        elif draw < 0.2:
            self.faults.fired["iterators expired"] += 1
            self.fake.expire_iterators()
        elif draw < 0.24:
            self.faults.fired["quiet pages"] += 1
            self.fake.quiet_pages = 3
        elif draw < 0.3 and self.trims:
            self._trim()

    def _roll(self) -> None:
        into, hidden = self.chance.choice([1, 1, 2]), self.chance.random() < 0.4
        self.faults.fired["rolled over" if into == 1 else "split"] += 1
        self.faults.fired["listed late"] += hidden
        if len(self.fake.table.stream.open) <= 8:
            self.fake.table.roll(into=into, hidden=hidden)
        asyncio.get_running_loop().call_later(self.chance.uniform(0.0, 4.0), self.fake.table.show)

    async def _make_anew(self) -> None:
        """A stream that is off is believed to be whole, so its shards are all listed by then.

        One that a server does not list any more, and that nobody has begun before, is found by nobody.
        """
        label = label_of(self.fake.table.stream.arn)
        if not self.fake.lists_old_streams and not any(lane.startswith(label) for lane in await self._rows()):
            return
        self.faults.fired["made anew"] += 1
        self.faults.fired["unlisted"] += not self.fake.lists_old_streams
        self.fake.table.show()
        self.fake.table.create()

    def _trim(self) -> None:
        """Of the oldest shard that has something left, as retention does; or its whole stream is forgotten."""
        table = self.fake.table
        if len(table.streams) > 1 and self.chance.random() < 0.5:
            self.faults.fired["forgotten"] += 1
            self.oracle.gone([each for shard in table.streams[0].shards.values() for each in numbers_of(shard)])
            table.forget_stream()
            return
        for shard in table.streams[0].shards.values():
            if shard.trimmed < len(shard.records):
                self.faults.fired["trimmed"] += 1
                shard.trimmed = min(len(shard.records), shard.trimmed + self.chance.choice([1, 10]))
                self.oracle.gone(numbers_of(shard)[: shard.trimmed])
                return

    async def _finished(self) -> None:
        start = self.now()
        while self.oracle.waiting or not await self._ended():
            await asyncio.sleep(5.0)
            must(self.now() - start < FOREVER, f"never done: {self.oracle.waiting[:5]}")

    async def _ended(self) -> bool:
        """The end of every closed shard is written down."""
        rows = await self._rows()
        checkpoints = [rows[lane].checkpoint if lane in rows else None for lane in self._closed()]
        return all(checkpoint is not None and checkpoint.ended for checkpoint in checkpoints)

    def _closed(self) -> list[str]:
        return [lane for lane, shard in self.oracle.shards().items() if shard.closed]

    async def _rows(self) -> dict[str, LaneRow]:
        return {row.lane: row for row in await self.store.rows.view("id")}
