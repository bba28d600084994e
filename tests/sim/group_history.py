"""One seeded history of a topic's mapping on virtual time: several engines, one group, and what goes wrong.

The seed picks the partitions, how they are shared out, the options, and what happens when: engines come and go,
crash, or are stopped for a while without knowing it.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from esm.core.filtering import FilterSet
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import Bisected, DestinationFailed, Dropped, LaneLost, RecordsLost, Stalled
from esm.runtime.log import lane as log_lane
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing.faults import Faults
from esm.testing.group.fake import SESSION, FakeGroup
from sim.group_oracle import GroupOracle
from sim.group_world import PLAIN, GroupFunction, Source, Wiring, drawn_options
from sim.history import EPOCH, must
from sim.log_history import FOREVER, MOST_DEATHS, PASSING, opening
from sim.log_oracle import FILTERED, LogOracle
from sim.log_world import FakeDestination

FAULTS = (
    "read fails", "slow call", "open fails", "join fails", "membership fails", "throttled", "unreachable",
    "misconfigured", "retry after", "function error", "timeout", "nonsense", "record fails", "slow function",
    "commit refused", "commit answer lost", "positions unreadable", "destination fails", "destination answer lost",
)  # fmt: skip
"""Drawn at every call; the rare ones below once in a while."""

RARE = {"outage": 0.01, "destination outage": 0.02}

EVENTS = (
    "start", "stop", "crash", "pause", "fenced", "away", "more partitions", "text lost", "trimmed", "poison",
    "trade", "too large", "session over", "cooperative", "eager", "revoked", "revoke too slow",
)  # fmt: skip
"""What the history and the group themselves do."""

TOLD: Mapping[type[Happening], str] = {
    Bisected: "bisected", Dropped: "dropped", DestinationFailed: "undelivered", Stalled: "stalled",
    LaneLost: "lane lost", RecordsLost: "records lost",
}  # fmt: skip


@dataclass(eq=False, slots=True)
class Replica:
    """One engine of several."""

    engine: Engine
    source: Source
    task: "asyncio.Task[None]"


class GroupHistory:
    """Everything one seed decides; `fixed` overrides options of the mapping."""

    def __init__(self, seed: int, wiring: Wiring = PLAIN, **fixed: Any) -> None:
        self.wiring = wiring
        chance = self.chance = random.Random(seed)
        self.now = asyncio.get_running_loop().time
        drawn = {kind: chance.choice([0.0, 0.0, 0.02, 0.15]) for kind in FAULTS}
        drawn |= {kind: rate * chance.choice([0, 1]) for kind, rate in RARE.items()}
        drawn["membership fails"] /= 10
        self.faults = Faults(chance, drawn)
        self.group = FakeGroup(
            self.now, self.faults, epoch=EPOCH, partitions=chance.choice([1, 2, 5]),
            cooperative=chance.random() < 0.6, patience=chance.choice([1.0, 12.0]),
        )  # fmt: skip
        self.options = LogOptions(**{**drawn_options(chance), **fixed})
        self.keys = chance.choice([1, 3, 8])
        self.room = chance.choice([300, 4096, 4096])
        self.large = 0.02
        self.slow = 40.0
        self.trims = chance.random() < 0.2
        self.poison: set[str] = set()
        self.killers: set[str] = set()
        self.deaths = 0
        self.forever = FOREVER
        self.records = LogOracle(
            self.group,
            most=10**6,
            factor=10**6,
            retries=self.options.maximum_retry_attempts,
            whole_lane=self.options.parallelization_factor == 1,
            exact_budget=self.options.maximum_record_age is None,
            forgets=self.room < 4096,
        )
        self.oracle = GroupOracle(self.group, self.records)
        self.group.committed, self.group.ended = self.oracle.committed, self.oracle.ended
        self.destination = FakeDestination(self.oracle, self.faults, wiring.ids)
        self.replicas: list[Replica] = []
        self._tasks: asyncio.TaskGroup
        self.happened: list[Happening] = []
        self.filters = chance.random() < 0.3
        self.latest = chance.random() < 0.3
        self.engines, self.most_killers = 1, 0
        self.events = [
            "start",
            "stop",
            "crash",
            "pause",
            "fenced",
            "away",
            "more partitions",
            "text lost",
            "trade",
        ]
        if self.latest:
            self.events.remove("text lost")  # it is the text that says when the mapping began

    async def play_calm(self) -> None:
        """Engines only come and go, and have the time they need: nothing is cut off or delivered twice."""
        self.faults.rates.clear()
        self.group.patience, self.oracle.calm = 12.0, True
        self.events = ["start", "stop", "more partitions"]
        await self.play(disturbances=6)
        must(not self.oracle.excused, f"{self.oracle.excused} may come again")

    async def play_trading(self) -> None:
        """Two engines trade partitions while functions fail, and none is cut off: every budget is kept exactly."""
        self.faults.rates.clear()
        self.faults.rates |= {"function error": 0.6, "slow function": 0.8}
        self.group.patience, self.slow, self.room = 12.0, 4.0, 4096
        self.records.forgets = self.trims = False
        while len(self.group.shards) < 2:
            self.group.add()
        self.events, self.engines = ["trade"], 2
        await self.play(disturbances=20)
        must(not self.records.cuts, "a call was cut off")

    async def play_killers(self) -> int:
        """Some records kill whoever sends them; returns how often that happened before all was finished."""
        self.faults.rates.clear()
        self.trims = self.filters = self.latest = False
        self.events, self.engines, self.most_killers = ["start", "trade"], 2, 2
        await self.play()
        return self.deaths

    async def play(self, disturbances: int | None = None) -> None:
        """Produces, lets things happen, then waits until everything is finished and committed."""
        count = self.chance.choice([0, 2, 5, 12]) if disturbances is None else disturbances
        with patch.object(log_lane, "ROOM", self.room):
            async with asyncio.TaskGroup() as tasks:
                coordinating = tasks.create_task(self.group.coordinate())
                await self._long_ago()
                producing = tasks.create_task(self._produce())
                self._tasks = tasks
                for _ in range(self.engines):
                    self._start(tasks)
                for _ in range(count):
                    await asyncio.sleep(self.chance.choice([1.0, 5.0, 30.0]) * self.chance.random())
                    await self._disturb(tasks, self.chance.choice(self.events))
                await producing
                if not self.replicas:
                    self._start(tasks)
                await self._finished()
                for replica in self.replicas:
                    replica.engine.stop.set()
                await asyncio.wait([replica.task for replica in self.replicas])
                coordinating.cancel()
        self.records.at_the_end()

    def kill(self, source: Source) -> None:
        """The engine that this is the source of is gone, and another comes."""
        for replica in [each for each in self.replicas if each.source is source]:
            self.deaths += 1
            self.records.cuts += 1
            must(self.deaths < MOST_DEATHS, f"killed for ever by {self.killers}")
            self.replicas.remove(replica)
            replica.task.cancel()
            self._start(self._tasks)

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        source = self.wiring.source(self, f"m{len(self.happened)}")
        engine = self._engine(source)
        self.replicas.append(Replica(engine, source, tasks.create_task(engine.run())))

    def _engine(self, source: Source) -> Engine:
        world = World(
            monotonic=self.now,
            wall=lambda: EPOCH + self.now(),
            chance=self.chance.random,
            new_id=lambda: f"{self.chance.getrandbits(64):016x}",
            tell=self._tell,
        )
        plan = LogPlan(
            "orders", "id", True, source, "fn", self.options,
            on_failure=[DestinationPlan("dead", opening(self.destination))],
            filters=FilterSet([PASSING], self.wiring.keys) if self.filters else None,
        )  # fmt: skip
        targets = {"fn": TargetPlan("fn", opening(GroupFunction(self, source)))}
        return Engine(EnginePlan({"orders": plan}, targets, 10**6), StatusBoard(world.wall), world, grace=45.0)

    def _tell(self, happening: Happening) -> None:
        self.happened.append(happening)
        if kind := TOLD.get(type(happening)):
            self.faults.fired[kind] += 1

    async def _disturb(self, tasks: asyncio.TaskGroup, event: str) -> None:
        if event == "start" and len(self.replicas) < 4:
            self._start(tasks)
        elif event in {"stop", "crash", "pause", "fenced"} and self.replicas:
            await self._disturb_one(tasks, event, self.chance.choice(self.replicas))
        elif event == "away":
            self.group.away_until = self.now() + self.chance.choice([2.0, 20.0, 60.0])
        elif event == "more partitions" and len(self.group.shards) < 6:
            self.group.add()
        elif event == "trade" and len(self.group.shards) > 1:
            self._trade(*self.chance.sample(list(self.group.shards), 2))
            return
        elif event == "text lost":
            self._lose_text(self.chance.choice(list(self.group.shards)))
        else:
            return
        self.faults.fired[event] += 1

    def _trade(self, lane: str, other: str) -> None:
        is_busy = bool(self.records.active[lane] or self.records.active[other])
        if self.group.trade(lane, other):
            self.faults.fired["trade"] += 1
            self.faults.fired["trade while a batch is out"] += is_busy

    async def _disturb_one(self, tasks: asyncio.TaskGroup, event: str, replica: Replica) -> None:
        if event == "pause":
            tasks.create_task(self._pause(replica))
        elif event == "fenced":
            if replica.source.member is not None:
                self.group.dismiss(replica.source.member, clean=False)
        else:
            self.replicas.remove(replica)
            replica.source.process.go_on()
            if event == "stop":
                replica.engine.stop.set()
            else:
                replica.task.cancel()
                await asyncio.wait([replica.task])

    async def _pause(self, replica: Replica) -> None:
        """Longer than a session, mostly."""
        replica.source.process.stop()
        await asyncio.sleep(SESSION * self.chance.choice([0.5, 1.5, 4.0]))
        replica.source.process.go_on()

    def _lose_text(self, lane: str) -> None:
        self.group.forget_text(lane)
        self.oracle.text_lost(lane)
        self.records.cuts += (self.options.maximum_retry_attempts or 0) + 1

    async def _long_ago(self) -> None:
        """What a mapping that begins with what comes never sees."""
        if self.latest:
            for _ in range(5):
                self._put()
            self.oracle.long_ago()
            await asyncio.sleep(1.0)

    async def _produce(self) -> None:
        for _ in range(self.chance.choice([10, 40, 90])):
            self._put()
            if self.chance.random() < 0.15:
                await asyncio.sleep(self.chance.choice([0.01, 1.0, 20.0]))
            if self.trims and self.chance.random() < 0.03:
                self.faults.fired["trimmed"] += 1
                lane = self.chance.choice(list(self.group.shards))
                self.oracle.gone(self.group.trim(lane, self.chance.choice([1, 10])))

    def _put(self) -> None:
        chance = self.chance
        lane, key = chance.choice(list(self.group.shards)), f"k{chance.randrange(self.keys)}"
        if self.filters and chance.random() < 0.2:
            key = FILTERED
        too_large = chance.random() < self.large
        entry = self.group.put(lane, key, skip=chance.choice([0, 0, 0, 1, 50]), too_large=too_large)
        self.oracle.accepted(entry)
        self.faults.fired["too large"] += too_large
        if chance.random() < 0.03:
            self.faults.fired["poison"] += 1
            self.poison.add(entry.id)
        if len(self.killers) < self.most_killers and not too_large and chance.random() < 0.1:
            self.killers.add(entry.id)

    async def _finished(self) -> None:
        start = self.now()
        while not self.records.entries.keys() <= self.records.finished or not self._is_committed():
            await asyncio.sleep(5.0)
            left = sorted(self.records.entries.keys() - self.records.finished)
            must(self.now() - start < self.forever, f"never done: {left[:5]} {self.group.positions}")

    def _is_committed(self) -> bool:
        """Up to the end of every partition."""
        return all(
            self.group.position(name).offset > shard.entries[-1].position
            for name, shard in self.group.shards.items()
            if shard.entries
        )
