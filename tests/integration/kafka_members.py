"""Members of a consumer group, each an engine with one mapping, a target that remembers, and a hand on it."""

import asyncio
import json
import random
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from confluent_kafka import Consumer, TopicPartition

from esm.model import Invocation, Outcome, Refused, Reply, Returned
from esm.plugins import SourceContext
from esm.ports import GroupSource
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import Rebalanced
from esm.runtime.plan import EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.sources.kafka import PLUGIN, KafkaSource
from esm.world import real_world
from servers.topics import Topic

PATIENCE = 30.0
H = TypeVar("H", bound=Happening)


def source_of(topic: Topic, group: str, position: str = "TRIM_HORIZON", **options: Any) -> KafkaSource:
    at = options.pop("at", None)
    given = {"bootstrap_servers": topic.bootstrap, "topic": topic.name, "consumer_group_id": group, **options}
    context = SourceContext("m", {}, 0, real_world(), starting_position=position, starting_position_timestamp=at)
    source = PLUGIN.make(PLUGIN.options.model_validate(given), context)
    assert isinstance(source, KafkaSource)
    return source


class Member:
    """`events` are the records in the order of their calls; while `held`, calls wait."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[dict[str, Any]] = []
        self.told: list[Happening] = []
        self.calls = 0
        self.answer: Callable[[Invocation], Reply] = succeeding
        self.open = asyncio.Event()
        self.open.set()
        self.changed = asyncio.Condition()
        self.engine: Engine

    async def invoke(self, call: Invocation) -> Reply:
        self.calls += 1
        await self._note()
        await self.open.wait()
        reply = self.answer(call)
        if not isinstance(reply, Refused):
            for records in json.loads(call.payload)["records"].values():
                self.events += records
        await self._note()
        return reply

    def tell(self, happening: Happening) -> None:
        self.told.append(happening)

    async def _note(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    @property
    def offsets(self) -> dict[int, list[int]]:
        """By partition, in the order of delivery."""
        found = defaultdict(list)
        for event in self.events:
            found[event["partition"]].append(event["offset"])
        return dict(found)

    @property
    def lanes(self) -> set[int]:
        """The partitions that are open."""
        status = self.engine.board.mapping("m")
        lanes = status.lanes if status is not None else {}
        return {int(name.rpartition("-")[2]) for name, lane in lanes.items() if lane.figures.is_open}

    def all_told(self, kind: type[H]) -> list[H]:
        return [each for each in self.told if isinstance(each, kind)]

    @property
    def rebalances(self) -> list[str]:
        return [each.kind for each in self.all_told(Rebalanced)]


async def until(holds: Callable[[], Any], why: str = "", patience: float = PATIENCE) -> None:
    """Waits for what no signal tells of."""
    try:
        async with asyncio.timeout(patience):
            while not holds():  # noqa: ASYNC110 -- of what no signal tells
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(why or "it did not come about") from None


@asynccontextmanager
async def member(
    source: GroupSource, name: str = "a", *, on_failure: Any = (), **options: Any
) -> AsyncIterator[Member]:
    """Runs it; leaves the group in order at the end."""
    made = Member(name)
    board = StatusBoard(time.time)

    def tell(happening: Happening) -> None:
        board.tell(happening)
        made.tell(happening)

    @asynccontextmanager
    async def target() -> AsyncIterator[Member]:
        yield made

    plan = LogPlan("m", f"id-{name}", True, source, "t", LogOptions(**{"window": 0.0, **options}), on_failure)
    world = World(time.monotonic, time.time, random.random, lambda: uuid.uuid4().hex, tell)
    plans = EnginePlan({"m": plan}, {"t": TargetPlan("t", target)}, 2**28)
    made.engine = Engine(plans, board, world, 10.0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(made.engine.run())
        try:
            yield made
        finally:
            made.open.set()
            made.engine.stop.set()


def commit(topic: Topic, group: str, offsets: Mapping[int, int], text: str = "") -> None:
    """As somebody who is no member of the group, while it has none."""
    consumer = Consumer({**topic.options, "group.id": group, "log_level": 0})
    places = [TopicPartition(topic.name, number, offset, text) for number, offset in offsets.items()]
    try:
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()


def succeeding(_: Invocation) -> Reply:
    return Returned(b"")


def refusing(_: Invocation) -> Reply:
    return Refused(Outcome.THROTTLED, "not now", 0.1)


def each_once(*members: Member) -> dict[int, list[int]]:
    """By partition, all offsets that were delivered, sorted; none twice."""
    found: dict[int, list[int]] = defaultdict(list)
    for one in members:
        for partition, offsets in one.offsets.items():
            assert offsets == sorted(offsets), f"{one.name} got partition {partition} out of order: {offsets}"
            found[partition] += offsets
    for partition, offsets in found.items():
        assert len(set(offsets)) == len(offsets), f"partition {partition} was delivered twice: {sorted(offsets)}"
    return {partition: sorted(offsets) for partition, offsets in found.items()}


async def in_thread(call: Callable[..., Any], *args: Any, **keys: Any) -> Any:
    return await asyncio.to_thread(call, *args, **keys)
