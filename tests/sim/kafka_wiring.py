"""The source of a topic as it is, with its thread, over a `FakeGroup` instead of brokers."""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from esm.checkpoint import Position
from esm.clients.aws import AwsOptions
from esm.clients.kafka import access
from esm.clients.kafka.asking import END, OLDEST, Committed
from esm.errors import Disconnected
from esm.model import Lane
from esm.ports import LogReader
from esm.sources.begin import Begin, StartingPosition
from esm.sources.kafka import source as module
from esm.sources.kafka.event import lane_name, partition_of
from esm.sources.kafka.membership import GroupMembership
from esm.sources.kafka.options import KafkaOptions
from esm.sources.kafka.poller import Poller
from esm.sources.kafka.rows import GroupRows, lanes_of
from esm.sources.kafka.source import KafkaSource
from esm.testing.faults import Faults
from esm.testing.group.fake import FakeGroup, FakeMember
from esm.testing.group.source import Process
from esm.world import World
from sim.kafka_client import TOPIC, Client, GroupConsumer, oldest
from sim.turns import Turns, in_turns

_BUSY = 0.1
"""How likely a thread is interrupted between two steps."""

_joining: ContextVar["ThreadedSource"] = ContextVar("joining")


def ids_of(event: bytes) -> list[str]:
    """The records of an event are called what their values say."""
    by_lane = json.loads(event)["records"].values()
    return [b64decode(record["value"]).decode() for records in by_lane for record in records]


def _nothing_of_aws(*_: object) -> Any:
    raise AssertionError


class Questions:
    """What `Positions` asks of brokers."""

    group = "orders"
    topic = TOPIC

    def __init__(self, group: FakeGroup, faults: Faults, process: Process) -> None:
        self._server = group
        self._faults = faults
        self._process = process

    async def committed(self) -> Mapping[int, Committed]:
        await self._reach()
        known = self._server.positions
        return {partition_of(lane): Committed(each.offset, each.text) for lane, each in known.items()}

    async def partitions(self) -> int:
        await self._reach()
        return len(self._server.shards)

    async def offsets(self, wanted: Mapping[int, int], /) -> Mapping[int, int]:
        await self._reach()
        return {number: self._offset(lane_name(TOPIC, number), moment) for number, moment in wanted.items()}

    def _offset(self, lane: str, moment: int) -> int:
        if moment == OLDEST:
            return oldest(self._server, lane)
        if moment == END:
            return self._server.end(lane)
        shard = self._server.shards[lane]
        later = (each for each in shard.entries[shard.trimmed :] if round(1000 * each.arrived) >= moment)
        return next((each.position for each in later), -1)

    async def _reach(self) -> None:
        await self._process.running()
        await asyncio.sleep(self._faults.chance.uniform(0.001, 0.02))
        await self._process.running()
        if self._server.is_away or self._faults.hit("positions unreadable"):
            raise Disconnected("unreachable", "scripted")


class Watched:
    """A membership, and its listener, that also keep what the member was `told`, by numbers."""

    def __init__(self, membership: GroupMembership, member: Client) -> None:
        self._membership = membership
        self._member = member
        self._numbers: dict[str, int] = {}
        self._sets: list[dict[str, int]] = []
        self.consumer: GroupConsumer
        self.failed = membership.failed

    @property
    def rows(self) -> GroupRows:
        return self._membership.rows

    def assigned(self, partitions: Collection[int]) -> None:
        self._numbers |= self.consumer.numbers.popleft()
        self._membership.assigned(partitions)
        self._sets.append(dict(self._numbers))

    def leaving(self, partitions: Collection[int], gone: Any) -> None:
        self._without(partitions)
        self._membership.leaving(partitions, gone)

    def lost(self, partitions: Collection[int]) -> None:
        self._without(partitions)
        self._membership.lost(partitions)

    def strayed(self, partition: int, oldest: int) -> None:
        raise AssertionError("no topic is made anew here", partition, oldest)

    def _without(self, partitions: Collection[int]) -> None:
        for lane in lanes_of(TOPIC, partitions):
            self._numbers.pop(lane, None)
        self._sets.append(dict(self._numbers))

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        async for lanes in self._membership.lanes():
            numbers = self._sets.pop(0)
            assert {lane.name for lane in lanes} == numbers.keys()
            self._member.told |= numbers
            yield lanes
            self._member.told = numbers

    def open(self, lane: Lane, after: Position | None) -> AbstractAsyncContextManager[LogReader]:
        return self._membership.open(lane, after)

    def listen(self, tell: Any) -> None:
        self._membership.listen(tell)


class ThreadedSource:
    """One engine's source, in a `process` of its own."""

    def __init__(self, group: FakeGroup, faults: Faults, name: str, *, drain: float, latest: bool) -> None:
        self.process = Process()
        self.member: FakeMember | None = None
        self._group = group
        self._faults = faults
        self._name = name
        self._source = KafkaSource(
            KafkaOptions(bootstrap_servers=("127.0.0.1:1",), topic=TOPIC, drain=drain),
            AwsOptions(),
            _nothing_of_aws,
            group="orders",
            begin=Begin(StartingPosition.LATEST if latest else StartingPosition.TRIM_HORIZON),
            world=World(
                self._monotonic, lambda: group.epoch + group.now(), asyncio.sleep, faults.chance.random, str
            ),
        )
        self.codec = self._source.codec
        self.drain = drain
        self._turns: Turns
        self._watched: Watched

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Watched]:
        """A process that is cancelled is gone at once."""
        await self.process.running()
        if self._faults.hit("join fails"):
            raise Disconnected("unreachable", "scripted")
        _joining.set(self)
        async with self._source.join():
            try:
                yield self._watched
            except asyncio.CancelledError:
                self._turns.kill()
                raise

    def questions(self, *_: Any) -> Questions:
        """Instead of `Positions`."""
        return Questions(self._group, self._faults, self.process)

    def poller(
        self, _make: Any, topic: str, listener: GroupMembership, tell: Any, world: World, *, patience: float
    ) -> Poller:
        """One with a consumer of ours, whose thread runs in turns."""
        turns = self._turns = Turns.current = Turns(self._faults.chance, self.process, _BUSY)
        member = self.member = Client(self._name)
        watched = self._watched = Watched(listener, member)

        def make(callbacks: Mapping[str, Any]) -> Any:
            watched.consumer = GroupConsumer(member, self._group, self._faults, turns, callbacks)
            return watched.consumer

        def telling(what: Any, *given: Any) -> None:
            tell(what, *given)
            turns.interrupted()

        return Poller(make, topic, watched, telling, world, patience=patience)

    def _monotonic(self) -> float:
        self._turns.interrupted()
        return self._group.now()


async def _here(what: Callable[..., Any], *given: Any) -> Any:
    """Instead of a thread that nobody has turns with."""
    return what(*given)


@contextmanager
def instead_of_brokers() -> Iterator[None]:
    """Every `ThreadedSource` asks its fake group, in turns."""
    with (
        in_turns(),
        patch.object(access, "asyncio", SimpleNamespace(to_thread=_here)),
        patch.object(module, "Poller", lambda *given, **named: _joining.get().poller(*given, **named)),
        patch.object(module, "Positions", lambda *given: _joining.get().questions(*given)),
    ):
        yield
