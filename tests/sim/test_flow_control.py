"""Many mappings at once, on virtual time with the whole engine: shared slots, paces, outages, stops and crashes.

Each target checks its own limits at each call; the queues say at the end what was lost or received twice.
"""

import asyncio
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.runtime.engine import Engine
from esm.runtime.happenings import CircuitClosed, CircuitOpened, Happening, LetGo
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeQueue, FakeSource
from sim.history import EPOCH, Spaced, must

SEEDS = max(60, int(os.environ.get("SIM_SEEDS", "300")) // 5)
HOUR = 3_600.0
DOWN = Refused(Outcome.UNREACHABLE, "connection refused")
BUSY = Refused(Outcome.THROTTLED, "HTTP 429")


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(eq=False)
class Function:
    """A target that refuses while it is down, and checks how it is called.

    `cap` is what its plan reserves, `takes` seconds for a batch. `served` holds what was done, by whom and when.
    """

    town: "Town"
    cap: int | None = None
    per_second: float | None = None
    takes: Callable[[list[str]], float] = lambda _: 0.5
    refusal: Refused = DOWN
    refusal_takes: float = 0.001
    outages: list[tuple[float, float]] = field(default_factory=list)
    errors: float = 0.0
    calls: list[float] = field(default_factory=list)
    served: list[tuple[float, str, list[str]]] = field(default_factory=list)
    running: int = 0

    def is_down(self) -> bool:
        return any(begin <= now() < end for begin, end in self.outages)

    async def invoke(self, call: Invocation) -> Reply:
        ids: list[str] = json.loads(call.payload)
        self.calls.append(now())
        self.running += 1
        must(self.running <= (self.cap or self.running), "more calls at the target than are reserved")
        must(self._paced(), "more calls in a second than the pace allows")
        try:
            with self.town.one_more(call.mapping, ids):
                return await self._answer(call.mapping, ids)
        finally:
            self.running -= 1

    def _paced(self) -> bool:
        """A call that had its turn may still have waited for a slot of the engine: one more than the pace."""
        if self.per_second is None:
            return True
        last_second = [at for at in self.calls[-200:] if at > now() - 1.0]
        return len(last_second) <= self.per_second + 2

    async def _answer(self, mapping: str, ids: list[str]) -> Reply:
        if self.is_down():
            await asyncio.sleep(self.refusal_takes)
            return self.refusal
        await asyncio.sleep(self.takes(ids))
        if self.town.chance.random() < self.errors:
            return Errored(Outcome.FUNCTION_ERROR, "scripted")
        self.served.append((now(), mapping, ids))
        return Returned(b"{}")


class Town:
    """Queues, functions, and who brings what from where to where."""

    def __init__(self, seed: int = 0, *, cap: int | None = None) -> None:
        self.chance = random.Random(seed)
        self.cap = cap
        self.faults = Faults(self.chance, {})
        self.functions: dict[str, Function] = {}
        self.queues: dict[str, FakeQueue] = {}
        self.plans: dict[str, QueuePlan] = {}
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.told: list[tuple[float, Happening]] = []
        self.running = 0
        self._out: Counter[tuple[str, str]] = Counter()

    def function(self, name: str, **terms: object) -> Function:
        self.functions[name] = Function(self, **terms)  # type: ignore[arg-type]
        return self.functions[name]

    def mapping(
        self, name: str, target: str, options: QueueOptions, *, ordered: bool = False, visibility: float = 30.0
    ) -> FakeQueue:
        queue = FakeQueue(now, epoch=EPOCH, ordered=ordered, visibility=visibility)
        self.queues[name] = queue
        self.plans[name] = QueuePlan(name, name, True, FakeSource(queue, self.faults), target, options)
        return queue

    def send(self, name: str, count: int, group: str | None = None) -> None:
        self.sent[name] += [self.queues[name].send(group) for _ in range(count)]

    def of(self, kind: type[Happening]) -> list[float]:
        """When such a thing was told."""
        return [at for at, happening in self.told if isinstance(happening, kind)]

    def one_more(self, mapping: str, ids: Iterable[str]) -> "Visit":
        return Visit(self, {(mapping, id_) for id_ in ids})

    def engine(self, grace: float = 45.0) -> Engine:
        world = World(
            monotonic=now,
            wall=lambda: EPOCH + now(),
            chance=self.chance.random,
            new_id=lambda: f"{self.chance.getrandbits(64):016x}",
            tell=lambda happening: self.told.append((now(), happening)),
        )
        targets = {name: self._target(name, function) for name, function in self.functions.items()}
        return Engine(EnginePlan(self.plans, targets, 10**9, self.cap), StatusBoard(world.wall), world, grace)

    def _target(self, name: str, function: Function) -> TargetPlan:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Function]:
            yield function

        pace = None if function.per_second is None else Spaced(1 / function.per_second)
        return TargetPlan(name, opened, function.cap, pace)

    async def run(self, seconds: float) -> None:
        """For so long, then a stop, and until it has drained."""
        engine = self.engine()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run())
            await asyncio.sleep(seconds)
            engine.stop.set()

    async def run_until_empty(self, within: float) -> None:
        engine, start = self.engine(), now()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run())
            while any(queue.messages for queue in self.queues.values()):
                await asyncio.sleep(1.0)
                must(now() - start < within, f"not done within {within} s")
            engine.stop.set()

    async def crash_after(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.engine().run())
            await asyncio.sleep(seconds)
            running.cancel()
            await asyncio.wait([running])

    def receives(self) -> set[int]:
        return {message.receives for queue in self.queues.values() for message in queue.messages.values()}

    def nothing_is_lost(self) -> None:
        for name, queue in self.queues.items():
            must(not queue.dead, "a receive count was burnt")
            must(sorted(queue.deleted) == sorted(self.sent[name]), f"{name}: lost or made up")
        done = {
            (mapping, id_) for each in self.functions.values() for _, mapping, ids in each.served for id_ in ids
        }
        must(done == {(name, id_) for name, ids in self.sent.items() for id_ in ids}, "deleted, but never done")
        must(not self.running, "a call never ended")
        left = asyncio.all_tasks() - {asyncio.current_task()}
        must(not left, f"tasks left: {left}")


class Visit:
    """A batch at its function: the engine's cap holds, and no record is there twice at once."""

    def __init__(self, town: Town, records: set[tuple[str, str]]) -> None:
        self._town = town
        self._records = records

    def __enter__(self) -> None:
        town = self._town
        town.running += 1
        must(town.running <= (town.cap or town.running), "more calls at all targets than the engine may")
        town._out.update(self._records)
        must(max(town._out[each] for each in self._records) == 1, "a record is at its function twice")

    def __exit__(self, *_: object) -> None:
        self._town.running -= 1
        self._town._out.subtract(self._records)


# One slow group among a thousand


async def _others_done(slow: float, batch_size: int) -> float:
    """When all but the slow group's messages are done; a batch's mates of the slow group go with it."""
    town = Town()
    town.function("fn", takes=lambda ids: slow if any(id_.endswith("-g500") for id_ in ids) else 0.2)
    town.mapping("orders", "fn", QueueOptions(batch_size=batch_size, concurrency=50, starts_at=50), ordered=True)
    for _ in range(2):
        for number in range(1_000):
            town.send("orders", 1, f"g{number}")
    await town.run_until_empty(HOUR)
    town.nothing_is_lost()
    served = town.functions["fn"].served
    for group in range(1_000):
        order = [id_ for _, _, ids in served for id_ in ids if id_.endswith(f"-g{group}")]
        must(order == sorted(order), "a group lost its order")
    return max(at for at, _, ids in served if not any(id_.endswith("-g500") for id_ in ids))


@pytest.mark.parametrize("batch_size", [1, 10])
def test_999_groups_finish_as_if_the_slow_one_were_not_there(batch_size: int) -> None:
    undisturbed = loop.run(_others_done(0.2, batch_size))
    assert loop.run(_others_done(900.0, batch_size)) <= undisturbed * 1.1 + 2.0


# Slots that are shared


@pytest.mark.parametrize("of_engine", [False, True], ids=["of the target", "of the engine"])
def test_twenty_mappings_on_ten_slots_have_at_least_half_of_their_fair_share(*, of_engine: bool) -> None:
    """Two have ten times the backlog, one of them in large batches; some may only make one call at a time."""

    async def check() -> None:
        town = Town(cap=10 if of_engine else None)
        for number in range(20):
            if number == 0 or of_engine:
                town.function(f"fn{number}", cap=None if of_engine else 10, takes=lambda _: 1.0)
            ordered = number % 2 == 1
            options = QueueOptions(
                batch_size=10 if number == 1 else 1,
                concurrency=1 if number % 4 == 3 else 50,
                starts_at=1 + number % 5,
            )
            target = f"fn{number if of_engine else 0}"
            town.mapping(f"m{number}", target, options, ordered=ordered, visibility=5.0)
            for message in range(250 if number in {0, 1} else 25):
                town.send(f"m{number}", 1, f"g{message % 60}" if ordered else None)
        await town.run(45.0)
        batches = Counter(who for each in town.functions.values() for at, who, _ in each.served if 5 < at < 41)
        fair = sum(batches.values()) / 20
        assert fair == pytest.approx(18, rel=0.05), "no slot is left unused"
        assert len(batches) == 20
        assert min(batches.values()) >= fair / 2, batches
        assert town.receives() <= {0, 1}
        await town.run_until_empty(HOUR)
        town.nothing_is_lost()

    loop.run(check())


# Outages


def test_a_storm_of_an_hour_burns_nothing_until_what_is_held_is_let_go_whole() -> None:
    async def check() -> None:
        town = Town()
        town.function("fn", refusal=BUSY, refusal_takes=3.0, outages=[(0.0, HOUR)])
        options = QueueOptions(concurrency=20, starts_at=20, max_hold=HOUR / 2)
        queue = town.mapping("orders", "fn", options)
        town.send("orders", 1_000)
        engine = town.engine()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run())
            await asyncio.sleep(HOUR / 2 - 1.0)
            held = sum(message.receives for message in queue.messages.values())
            assert town.receives() == {0, 1}
            assert 100 <= held <= 300
            assert not town.of(LetGo)
            await asyncio.sleep(60.0)
            batches = [happening.records for _, happening in town.told if isinstance(happening, LetGo)]
            assert batches
            assert set(batches) == {10}
            await asyncio.sleep(HOUR / 2)
            assert town.receives() <= {0, 1, 2, 3}
            engine.stop.set()
        await town.run_until_empty(HOUR)
        town.nothing_is_lost()
        probes = sum(HOUR / 2 > at > 60.0 for at in town.functions["fn"].calls)
        assert HOUR / 2 / 15 <= probes <= HOUR / 2 / 5

    loop.run(check())


def test_a_stop_while_the_circuit_is_open_gives_everything_back_at_once() -> None:
    async def check() -> None:
        town = Town()
        town.function("fn", outages=[(0.0, HOUR)])
        for number in range(5):
            town.mapping(f"m{number}", "fn", QueueOptions(), ordered=number % 2 == 0, visibility=300.0)
            for message in range(200):
                town.send(f"m{number}", 1, f"g{message % 20}" if number % 2 == 0 else None)
        await town.run(600.0)
        assert town.of(CircuitOpened)
        assert now() <= 602.0
        hidden = [m for queue in town.queues.values() for m in queue.messages.values() if m.visible_at > now()]
        assert not hidden
        assert town.receives() == {0, 1}
        town.functions["fn"].outages.clear()
        await town.run_until_empty(HOUR)
        town.nothing_is_lost()

    loop.run(check())


def test_a_crash_while_the_circuit_is_open_costs_a_visibility_timeout_and_nothing_else() -> None:
    async def check() -> None:
        town = Town()
        town.function("fn", cap=3, outages=[(0.0, 650.0)])
        for number in range(5):
            town.mapping(f"m{number}", "fn", QueueOptions(), visibility=60.0)
            town.send(f"m{number}", 200)
        await town.crash_after(600.0)
        assert town.receives() == {0, 1}
        await town.run_until_empty(650.0 - 600.0 + 60.0 + 120.0)
        town.nothing_is_lost()

    loop.run(check())


async def _done_beside(outages: list[tuple[float, float]], cap: int | None) -> float:
    """When the mapping is done whose target is well, beside four whose target may be down."""
    town = Town(cap=cap)
    town.function("well")
    town.function("ill", outages=outages, refusal_takes=2.0)
    town.mapping("orders", "well", QueueOptions(batch_size=1))
    town.send("orders", 1_000)
    for number in range(4):
        town.mapping(f"m{number}", "ill", QueueOptions())
        town.send(f"m{number}", 100 if outages else 0)
    await town.run_until_empty(4 * HOUR)
    town.nothing_is_lost()
    return max(at for at, _, _ in town.functions["well"].served)


@pytest.mark.parametrize(("cap", "later"), [(None, 0.0), (8, 20.0)])
def test_a_target_that_is_down_does_not_slow_the_mappings_of_another(cap: int | None, later: float) -> None:
    """With slots of the engine in short supply it does, but only until its circuit opens."""
    undisturbed = loop.run(_done_beside([], cap))
    assert loop.run(_done_beside([(0.0, HOUR)], cap)) <= undisturbed * 1.05 + later


# Everything at once


def _random_town(seed: int) -> Town:
    chance = random.Random(seed)
    town = Town(seed, cap=chance.choice([None, 1, 3, 8]))
    for number in range(chance.choice([1, 2, 3])):
        begin = chance.choice([0.0, 30.0, 100.0])
        town.function(
            f"fn{number}",
            cap=chance.choice([None, 1, 2, 5]),
            per_second=chance.choice([None, None, 1.0, 5.0]),
            takes=lambda _: chance.choice([0.0, 0.1, 1.0, 8.0]),
            refusal=chance.choice([DOWN, BUSY, Refused(Outcome.MISCONFIGURED, "HTTP 404", 5.0)]),
            refusal_takes=chance.choice([0.0, 0.01, 3.0]),
            outages=chance.choice([[], [(begin, begin + 20.0)], [(begin, begin + 400.0)]]),
            errors=chance.choice([0.0, 0.0, 0.1]),
        )
    town.faults.rates.update(chance.choice([{}, {"read fails": 0.05, "over limit": 0.1, "slow call": 0.02}]))
    for number in range(chance.choice([1, 2, 6])):
        ordered = chance.random() < 0.5
        options = QueueOptions(
            batch_size=chance.choice([1, 3, 10]),
            concurrency=chance.choice([1, 5, 20]),
            starts_at=chance.choice([1, 5]),
            max_hold=chance.choice([120.0, HOUR]),
        )
        town.mapping(
            f"m{number}", f"fn{chance.randrange(len(town.functions))}", options,
            ordered=ordered, visibility=chance.choice([5.0, 30.0]),
        )  # fmt: skip
        for message in range(chance.choice([0, 5, 60])):
            town.send(f"m{number}", 1, f"g{message % 7}" if ordered else None)
    return town


async def _play(seed: int) -> Counter[str]:
    town = _random_town(seed)
    for _ in range(town.chance.choice([0, 1, 2])):
        seconds = town.chance.choice([1.0, 15.0, 60.0, 300.0])
        await (town.run(seconds) if town.chance.random() < 0.5 else town.crash_after(seconds))
    await town.run_until_empty(10 * HOUR)
    town.nothing_is_lost()
    return Counter(opened=len(town.of(CircuitOpened)), closed=len(town.of(CircuitClosed)))


@pytest.mark.timeout(300)
def test_whatever_comes_together_nothing_is_lost_and_each_limit_holds_at_each_moment() -> None:
    happened: Counter[str] = Counter()
    for seed in range(SEEDS):
        try:
            happened += loop.run(_play(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert happened["opened"] > SEEDS / 20
    assert happened["closed"] > SEEDS / 20
