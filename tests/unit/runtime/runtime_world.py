"""A world on virtual time, and an engine over a fake queue whose every call is noted with its second.

Nothing takes time here unless a test says so, so that a trigger can be asked for to the second.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from esm.core.filtering import FilterSet
from esm.model import Invocation, Lane, Page, Record, Reply, Settlement
from esm.ports import Target
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeQueue, FakeReader, FakeSource
from esm.testing.target import SUCCESS, Script

EPOCH = 1_700_000_000.0
PLENTY = 10**9

H = TypeVar("H", bound=Happening)
C = TypeVar("C")


class Steady(random.Random):
    """Chance that always lies in the middle, and calls that always take `latency` seconds."""

    def __init__(self, latency: float = 0.0) -> None:
        super().__init__(0)
        self.latency = latency

    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return self.latency


class Told(list[Happening]):
    """What was told, in order, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    def __call__(self, happening: Happening) -> None:
        self.append(happening)
        self.at.append(now())

    def of(self, kind: type[H]) -> list[H]:
        return [each for each in self if isinstance(each, kind)]

    def times(self, kind: type[Happening]) -> list[float]:
        return [at for at, each in zip(self.at, self, strict=True) if isinstance(each, kind)]


def now() -> float:
    return asyncio.get_running_loop().time()


async def emptied(*queues: FakeQueue) -> None:
    """Returns when nothing is left in them."""
    while any(queue.messages for queue in queues):  # noqa: ASYNC110 -- the time is virtual
        await asyncio.sleep(1.0)


def world(told: Callable[[Happening], None], chance: random.Random | None = None) -> World:
    chance = chance or Steady()
    numbers = iter(range(10**9))
    return World(now, lambda: EPOCH + now(), chance.random, lambda: f"batch-{next(numbers)}", told)


@dataclass(frozen=True, slots=True)
class Read:
    """A read: when it was asked for, and for what."""

    at: float
    limit: int
    wait: float


@dataclass(slots=True)
class Wire:
    """Everything that went over the wire to one queue. Until `deletes_from` nothing is deleted."""

    reads: list[Read] = field(default_factory=list)
    open_reads: int = 0
    most_open: int = 0
    cancelled: int = 0
    untried: list[tuple[float, str]] = field(default_factory=list)
    extended: list[float] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    deletes_from: float = 0.0


class NotedReader(FakeReader):
    """A fake reader that notes its calls."""

    def __init__(self, queue: FakeQueue, faults: Faults, wire: Wire) -> None:
        super().__init__(queue, faults)
        self._wire = wire

    async def read(self, limit: int, wait: float) -> Page:
        wire = self._wire
        wire.reads.append(Read(now(), limit, wait))
        wire.open_reads += 1
        wire.most_open = max(wire.most_open, wire.open_reads)
        try:
            return await super().read(limit, wait)
        except asyncio.CancelledError:
            wire.cancelled += 1
            raise
        finally:
            wire.open_reads -= 1

    async def settle(
        self, done: Sequence[Record], failed: Sequence[Record], untried: Sequence[Record]
    ) -> Settlement:
        await asyncio.sleep(max(0.0, self._wire.deletes_from - now()))
        self._wire.untried += [(now(), record.id) for record in untried]
        self._wire.done += [record.handle for record in done]
        return await super().settle(done, failed, untried)

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        self._wire.extended.append(now())
        return await super().extend(records, seconds)


class NotedSource(FakeSource):
    """A fake source whose reader notes its calls."""

    def __init__(self, queue: FakeQueue, faults: Faults, wire: Wire) -> None:
        super().__init__(queue, faults)
        self._given = queue, faults, wire

    @asynccontextmanager
    async def open(self, lane: Lane) -> AsyncIterator[FakeReader]:
        async with super().open(lane):
            yield NotedReader(*self._given)


class Function:
    """A target by script; `calls` holds when each call began and the ids it was given."""

    def __init__(self, script: Script = lambda _: SUCCESS) -> None:
        self.script = script
        self.calls: list[tuple[float, list[str]]] = []
        self.running = 0
        self.most_running = 0

    async def invoke(self, call: Invocation) -> Reply:
        self.calls.append((now(), json.loads(call.payload)))
        turn = self.script(call)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(turn.after)
        finally:
            self.running -= 1
        return turn.reply

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]

    @property
    def given(self) -> list[str]:
        return [id_ for _, ids in self.calls for id_ in ids]


class Rig:
    """An engine with one mapping, its queue, its function, and all that was seen of them."""

    def __init__(  # noqa: PLR0913 - what a case differs in
        self,
        options: QueueOptions | None = None,
        *,
        script: Script = lambda _: SUCCESS,
        cap: int | None = None,
        latency: float = 0.0,
        memory_limit: int = PLENTY,
        queue: FakeQueue | None = None,
        filters: FilterSet | None = None,
    ) -> None:
        self.queue = queue or FakeQueue(now, epoch=EPOCH)
        self.rates: dict[str, float] = {}
        self.wire = Wire()
        self.told = Told()
        self.function = Function(script)
        source = NotedSource(self.queue, Faults(Steady(latency), self.rates), self.wire)
        plan = QueuePlan("orders", "id", True, source, "fn", options or QueueOptions(), filters)
        self.engine = engine(
            {"orders": plan}, {"fn": self.function}, self.told, cap=cap, memory_limit=memory_limit
        )

    def send(self, count: int = 1, group: str | None = None) -> list[str]:
        return [self.queue.send(group) for _ in range(count)]

    @property
    def receives(self) -> dict[str, int]:
        """How often each message that is still there was received."""
        return {message.id: message.receives for message in self.queue.messages.values()}

    @asynccontextmanager
    async def running(self, seconds: float | None = None) -> AsyncIterator[None]:
        """The engine runs for `seconds`, or while the block does; then it is stopped and has drained."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run())
            yield
            if seconds is not None:
                await asyncio.sleep(seconds - now())
            self.engine.stop.set()


def engine(
    mappings: Mapping[str, QueuePlan],
    targets: Mapping[str, Target],
    told: Told,
    *,
    cap: int | None = None,
    memory_limit: int = PLENTY,
    grace: float = 45.0,
) -> Engine:
    plans = {name: TargetPlan(name, opening(target), cap) for name, target in targets.items()}
    here = world(told)
    return Engine(EnginePlan(mappings, plans, memory_limit), StatusBoard(here.wall), here, grace)


def opening(component: C) -> Callable[[], AbstractAsyncContextManager[C]]:
    """How a plan opens what is there already."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[C]:
        yield component

    return opened
