"""One seeded history of a topic's mapping on virtual time: several engines, one group, and what goes wrong.

The seed picks the partitions, how they are shared out, the options, and what happens when: engines come and go,
crash, or are stopped for a while without knowing it.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from esm.model import Errored, Invocation, Outcome, Reply, Returned
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import Bisected, DestinationFailed, Dropped, LaneLost, RecordsLost, Stalled
from esm.runtime.log import lane as log_lane
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing.faults import Faults
from esm.testing.group.fake import SESSION, FakeGroup
from esm.testing.group.source import FakeGroupSource
from sim.group_oracle import GroupOracle
from sim.history import EPOCH, must
from sim.log_history import FOREVER, opening
from sim.log_oracle import LogOracle
from sim.log_world import FakeDestination, Outages, refusal

FAULTS = (
    "read fails", "slow call", "open fails", "join fails", "membership fails", "throttled", "unreachable",
    "misconfigured", "retry after", "function error", "timeout", "nonsense", "record fails", "slow function",
    "commit refused", "commit answer lost", "positions unreadable", "destination fails", "destination answer lost",
)  # fmt: skip
"""Drawn at every call; the rare ones below once in a while."""

RARE = {"outage": 0.01, "destination outage": 0.02}

EVENTS = (
    "start", "stop", "crash", "pause", "fenced", "away", "more partitions", "text lost", "trimmed", "poison",
    "too large", "session over", "cooperative", "eager", "revoked", "revoke too slow",
)  # fmt: skip
"""What the history and the group themselves do."""

TOLD: Mapping[type[Happening], str] = {
    Bisected: "bisected", Dropped: "dropped", DestinationFailed: "undelivered", Stalled: "stalled",
    LaneLost: "lane lost", RecordsLost: "records lost",
}  # fmt: skip


class GroupFunction:
    """A function that lists what failed by partition and offset; `poison` it never takes."""

    def __init__(self, history: "GroupHistory", source: FakeGroupSource) -> None:
        self._history = history
        self._source = source
        self._outage = Outages(history.faults, "outage")

    async def invoke(self, call: Invocation) -> Reply:
        ids: list[str] = json.loads(call.payload)
        history, faults = self._history, self._history.faults
        since = self._since(ids[0].partition(":")[0])
        await self._source.process.running()
        if refused := await refusal(faults, self._outage):
            return refused
        history.oracle.starts(ids, since)
        failed = [id_ for id_ in ids if id_ in history.poison or faults.hit("record fails")]
        succeeded: list[str] = []
        try:
            await asyncio.sleep(faults.chance.uniform(0.0, 40.0 if faults.hit("slow function") else 0.5))
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


@dataclass(eq=False, slots=True)
class Replica:
    """One engine of several."""

    engine: Engine
    source: FakeGroupSource
    task: "asyncio.Task[None]"


class GroupHistory:
    """Everything one seed decides; `fixed` overrides options of the mapping, `rates` those of faults."""

    def __init__(self, seed: int, rates: Mapping[str, float] | None = None, **fixed: Any) -> None:
        chance = self.chance = random.Random(seed)
        self.now = asyncio.get_running_loop().time
        drawn = {kind: chance.choice([0.0, 0.0, 0.02, 0.15]) for kind in FAULTS}
        drawn |= {kind: rate * chance.choice([0, 1]) for kind, rate in RARE.items()}
        drawn["membership fails"] /= 10
        self.faults = Faults(chance, drawn if rates is None else dict(rates))
        self.group = FakeGroup(
            self.now, self.faults, epoch=EPOCH, partitions=chance.choice([1, 2, 5]),
            cooperative=chance.random() < 0.6, patience=chance.choice([1.0, 12.0]),
        )  # fmt: skip
        self.options = LogOptions(**{**self._drawn_options(), **fixed})
        self.keys = chance.choice([1, 3, 8])
        self.room = chance.choice([300, 4096, 4096])
        self.trims = chance.random() < 0.2
        self.poison: set[str] = set()
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
        self.destination = FakeDestination(self.oracle, self.faults)
        self.replicas: list[Replica] = []
        self.happened: list[Happening] = []
        self.events = ["start", "stop", "crash", "pause", "fenced", "away", "more partitions", "text lost"]

    def _drawn_options(self) -> dict[str, Any]:
        chance = self.chance
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

    async def play_calm(self) -> None:
        """Engines only come and go, and have the time they need: nothing is cut off or delivered twice."""
        self.faults.rates.clear()
        self.group.patience, self.oracle.calm = 12.0, True
        self.events = ["start", "stop", "more partitions"]
        await self.play(disturbances=6)
        must(not self.oracle.excused, f"{self.oracle.excused} may come again")

    async def play(self, disturbances: int | None = None) -> None:
        """Produces, lets things happen, then waits until everything is finished and committed."""
        count = self.chance.choice([0, 2, 5, 12]) if disturbances is None else disturbances
        with patch.object(log_lane, "ROOM", self.room):
            async with asyncio.TaskGroup() as tasks:
                coordinating = tasks.create_task(self.group.coordinate())
                producing = tasks.create_task(self._produce())
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

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        source = FakeGroupSource(self.group, self.faults, f"m{len(self.happened)}", drain=5.0)
        engine = self._engine(source)
        self.replicas.append(Replica(engine, source, tasks.create_task(engine.run())))

    def _engine(self, source: FakeGroupSource) -> Engine:
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
        elif event == "text lost":
            self._lose_text(self.chance.choice(list(self.group.shards)))
        else:
            return
        self.faults.fired[event] += 1

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
        too_large = chance.random() < 0.02
        entry = self.group.put(lane, key, skip=chance.choice([0, 0, 0, 1, 50]), too_large=too_large)
        self.records.accepted(entry)
        self.faults.fired["too large"] += too_large
        if chance.random() < 0.03:
            self.faults.fired["poison"] += 1
            self.poison.add(entry.id)

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
