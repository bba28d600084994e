"""One seeded history of a log mapping on virtual time: the real engine between a fake log and scripted others.

The seed picks the shards and how they split and merge, the options, what goes wrong and when. A crash is a cancel
and a restart from the store: what the store does not have is forgotten.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from esm.checkpoint import LaneRow, Start
from esm.core.filtering import FilterSet
from esm.core.log import checkpoints
from esm.model import DataKeys
from esm.runtime.engine import Engine
from esm.runtime.happenings import CircuitOpened, Happening
from esm.runtime.lane_happenings import Bisected, DestinationFailed, Dropped, LaneLost, RecordsLost, Stalled
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing.faults import Faults
from esm.testing.log.fake import FakeLog, FakeLogSource, Shard
from sim.history import EPOCH, must
from sim.log_oracle import FILTERED, LogOracle
from sim.log_world import FakeDestination, FaultyStore, LogFunction

PASSING = '{"key": [{"anything-but": "%s"}]}' % FILTERED  # noqa: UP031 - JSON has braces of its own

FOREVER = 2 * 24 * 3600.0
MOST_DEATHS = 60

FAULTS = (
    "read fails", "denied", "answer lost", "slow call", "open fails", "listing fails", "late listing",
    "reads beyond", "throttled", "unreachable", "misconfigured", "retry after", "function error", "timeout",
    "nonsense", "record fails", "slow function", "outage", "store fails", "store answer lost", "slow store",
    "destination fails", "destination answer lost",
)  # fmt: skip
"""Drawn at every call; the rare ones below once in a while."""

RARE = {"store outage": 0.003, "destination outage": 0.02, "outage": 0.01}

EVENTS = (
    "crash",
    "stop",
    "split",
    "merge",
    "fresh split",
    "poison",
    "too large",
    "trimmed",
    "forgotten",
    "stolen",
)
"""What the history itself does."""

TOLD: Mapping[type[Happening], str] = {
    CircuitOpened: "circuit opened", Bisected: "bisected", Dropped: "dropped", DestinationFailed: "undelivered",
    Stalled: "stalled", LaneLost: "lease lost", RecordsLost: "records lost",
}  # fmt: skip


class LogHistory:
    """Everything one seed decides; `fixed` overrides options of the mapping, `rates` those of faults."""

    def __init__(self, seed: int, rates: Mapping[str, float] | None = None, **fixed: Any) -> None:
        chance = self.chance = random.Random(seed)
        self.now = asyncio.get_running_loop().time
        drawn = {kind: chance.choice([0.0, 0.0, 0.02, 0.15]) for kind in FAULTS}
        drawn |= {kind: rate * chance.choice([0, 1]) for kind, rate in RARE.items()}
        self.faults = Faults(chance, drawn if rates is None else dict(rates))
        self.log = FakeLog(self.now, epoch=EPOCH, tells_children=chance.random() < 0.5)
        self.options = LogOptions(**{**self._drawn_options(), **fixed})
        self.cap = chance.choice([None, None, 1, 3])
        self.keys = chance.choice([1, 3, 8])
        self.filters = chance.random() < 0.3
        self.trims = chance.random() < 0.2
        self.thefts = chance.choice([0, 0, 1])
        self.changes = chance.random() < 0.2
        self.start = Start(EPOCH + 20.0) if chance.random() < 0.2 else Start()
        self.memory_limit = chance.choice([100, 2_000, 10**6])
        self.poison: set[str] = set()
        self.killers: set[str] = set()
        retries = self.options.maximum_retry_attempts
        self.oracle = LogOracle(
            self.log,
            most=self.cap or 10**6,
            factor=10 if self.changes else self.options.parallelization_factor,
            retries=retries,
            whole_lane=self.options.parallelization_factor == 1 and not self.changes,
            exact_budget=self.options.maximum_record_age is None,
        )
        self.store = FaultyStore(self.faults, self.oracle.committed)
        self.destination = FakeDestination(self.oracle, self.faults)
        self.spans = chance.choice([3, checkpoints.MOST_SPANS, checkpoints.MOST_SPANS])
        self.oracle.forgets = self.spans < checkpoints.MOST_SPANS
        self.happened: list[Happening] = []
        self.produced = False

    def _drawn_options(self) -> dict[str, Any]:
        chance = self.chance
        return {
            "batch_size": chance.choice([1, 4, 20]),
            "window": chance.choice([0.0, 0.0, 2.0]),
            "parallelization_factor": chance.choice([1, 1, 2, 10]),
            "maximum_retry_attempts": chance.choice([0, 1, 3]),
            "maximum_record_age": chance.choice([None, None, None, 60.0]),
            "bisect": chance.random() < 0.5,
            "reports_failures": chance.random() < 0.6,
            "checkpoint_interval": chance.choice([0.1, 1.0, 5.0]),
            "wait": chance.choice([1.0, 20.0]),
        }

    def engine(self) -> Engine:
        world = World(
            monotonic=self.now,
            wall=lambda: EPOCH + self.now(),
            chance=self.chance.random,
            new_id=lambda: f"{self.chance.getrandbits(64):016x}",
            tell=self._tell,
        )
        function = self.function = LogFunction(
            self.oracle, self.faults, self.poison, reports_failures=self.options.reports_failures
        )
        function.killers = self.killers
        plan = LogPlan(
            "orders", "id", True, FakeLogSource(self.log, self.faults, self.start), "fn", self.options,
            on_failure=[DestinationPlan("dead", opening(self.destination))],
            filters=FilterSet([PASSING], DataKeys()) if self.filters else None,
        )  # fmt: skip
        return Engine(
            EnginePlan(
                mappings={"orders": plan},
                targets={"fn": TargetPlan("fn", opening(function), self.cap)},
                memory_limit=self.memory_limit,
                store=opening(self.store),
            ),
            StatusBoard(world.wall),
            world,
            grace=45.0,
        )

    def _tell(self, happening: Happening) -> None:
        self.happened.append(happening)
        if kind := TOLD.get(type(happening)):
            self.faults.fired[kind] += 1

    async def play(self, sessions: Sequence[int] = (0, 1, 2, 4)) -> None:
        """Produces, runs the engine through stops and crashes, then until everything is finished."""
        with patch.object(checkpoints, "MOST_SPANS", self.spans):
            await self._play(sessions)
        self.oracle.at_the_end()

    async def _play(self, sessions: Sequence[int]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._produce())
            for _ in range(self.chance.choice(sessions)):
                await self._session(tasks, self.chance.choice([1.0, 10.0, 100.0]) * self.chance.random())
            last = self.engine()
            running = tasks.create_task(last.run())
            await self._finished()
            last.stop.set()
            await running

    async def play_killers(self) -> int:
        """Some records kill whoever sends them; returns how often that happened before all was finished."""
        self.filters = self.trims = self.changes = False
        deaths = 0
        await self._produce()
        ids = [entry.id for entry in self.oracle.entries.values() if not entry.too_large]
        self.killers = set(self.chance.sample(ids, min(2, len(ids))))
        async with asyncio.TaskGroup() as tasks:
            while not await self._lived_through(tasks):
                deaths += 1
                self.oracle.cuts += 1
                must(deaths < MOST_DEATHS, f"killed for ever by {self.killers}")
        self.oracle.at_the_end()
        return deaths

    async def _lived_through(self, tasks: asyncio.TaskGroup) -> bool:
        engine = self.engine()
        running = tasks.create_task(engine.run())
        over = tasks.create_task(self._finished())
        killed = tasks.create_task(self.function.killed.wait())
        await asyncio.wait([over, killed], return_when=asyncio.FIRST_COMPLETED)
        is_over = over.done()
        if is_over:
            engine.stop.set()
        else:
            running.cancel()
        over.cancel()
        killed.cancel()
        await asyncio.wait([running])
        return is_over

    async def _session(self, tasks: asyncio.TaskGroup, seconds: float) -> None:
        engine = self.engine()
        running = tasks.create_task(engine.run())
        await asyncio.sleep(seconds)
        if self.chance.random() < 0.6:
            self.faults.fired["crash"] += 1
            self.oracle.cuts += 1
            running.cancel()
            await asyncio.wait([running])
        else:
            self.faults.fired["stop"] += 1
            engine.stop.set()
            asked = self.now()
            await running
            self.oracle.cuts += self.now() - asked >= engine.grace  # what it cut off is neutral, but was delivered
        if self.changes:
            factor, size = self.chance.choice([1, 2, 10]), self.chance.choice([1, 4, 20])
            self.options = replace(self.options, parallelization_factor=factor, batch_size=size)

    async def _produce(self) -> None:
        for _ in range(self.chance.choice([10, 40, 90])):
            self._put()
            if self.chance.random() < 0.15:
                await asyncio.sleep(self.chance.choice([0.01, 1.0, 20.0]))
            if self.chance.random() < 0.04:
                self._reshard()
            if self.trims and self.chance.random() < 0.03:
                self._trim()
            if self.thefts and self.chance.random() < 0.03 and await self.store.steal("id", self.chance.random()):
                self.faults.fired["stolen"] += 1
                self.oracle.cuts += 1
        self.produced = True

    def _put(self) -> None:
        chance = self.chance
        key = FILTERED if self.filters and chance.random() < 0.3 else f"k{chance.randrange(self.keys)}"
        too_large = chance.random() < 0.02
        entry = self.log.put(chance.choice(self.log.open_shards()), key, too_large=too_large)
        self.oracle.accepted(entry)
        self.faults.fired["too large"] += too_large
        if chance.random() < 0.03:
            self.faults.fired["poison"] += 1
            self.poison.add(entry.id)
        if self.start.time is not None and entry.arrived < self.start.time:
            self.oracle.gone([entry])

    def _reshard(self) -> None:
        shards = self.log.open_shards()
        if len(shards) > 1 and self.chance.random() < 0.4:
            self.faults.fired["merge"] += 1
            self.log.add(*self.chance.sample(shards, 2))
        elif len(shards) < 4:
            self.faults.fired["split"] += 1
            child, _ = self.log.split(self.chance.choice(shards))
            if self.chance.random() < 0.5:
                self.faults.fired["fresh split"] += 1
                self.log.split(child.name)

    def _trim(self) -> None:
        name = self.chance.choice(list(self.log.shards))
        shard = self.log.shards[name]
        oldest = not any(parent in self.log.shards for parent in shard.parents)  # retention takes parents first
        if shard.closed and oldest and self.chance.random() < 0.5:
            self.faults.fired["forgotten"] += 1
            self.oracle.gone(self.oracle.by_shard[name])
            self.log.forget(name)
        else:
            self.faults.fired["trimmed"] += 1
            self.oracle.gone(self.log.trim(name, self.chance.choice([1, 10])))

    async def _finished(self) -> None:
        start = self.now()
        while not (self.produced and self.oracle.entries.keys() <= self.oracle.finished and await self._ended()):
            await asyncio.sleep(5.0)
            left = sorted(self.oracle.entries.keys() - self.oracle.finished)
            must(self.now() - start < FOREVER, f"never done: {left[:5]}")

    async def _ended(self) -> bool:
        """The end of every shard is written down."""
        rows = {row.lane: row for row in await self.store.rows.view("id")}
        begin = self.start.time or 0.0
        return all(_is_done(shard, rows.get(name), begin) for name, shard in self.log.shards.items())


def opening(component: Any) -> Any:
    """How a plan opens something that is there already."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield component

    return opened


def _is_done(shard: Shard, row: LaneRow | None, begin: float) -> bool:
    if row is None or row.checkpoint is None:
        return False
    left = [entry for entry in shard.entries[shard.trimmed :] if entry.arrived >= begin]
    reached = row.checkpoint.at or 0
    return row.checkpoint.ended if shard.closed else not left or left[-1].position <= reached
