"""A target that refuses every call: left alone but for probes, and back at once when one reaches it."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import count, pairwise

import pytest
from runtime_world import (
    EPOCH,
    PLENTY,
    Function,
    NotedSource,
    Rig,
    Steady,
    Told,
    Wire,
    emptied,
    engine,
    now,
    opening,
    world,
)

from esm.core.queue.judging import Reports, judge
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned, Verdict
from esm.ports import Pace, Target
from esm.runtime.calling.caller import Caller
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.calling.slots import FairSlots
from esm.runtime.engine import Engine
from esm.runtime.happenings import CircuitClosed, CircuitOpened, LetGo, Released
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.signals import Stop
from esm.runtime.status.board import StatusBoard
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeCodec, FakeQueue
from esm.testing.target import SUCCESS, Script, Turn, in_turn

HALF_AN_HOUR = 1_800.0
DOWN = Turn(Refused(Outcome.UNREACHABLE, "connection refused"))


def until(moment: float, first: Turn = DOWN, then: Turn = SUCCESS) -> Script:
    return lambda _: first if now() < moment else then


def test_a_target_down_for_half_an_hour_costs_a_few_calls_and_no_receive() -> None:
    async def check() -> None:
        rig = Rig(QueueOptions(concurrency=50, starts_at=50), script=until(HALF_AN_HOUR))
        sent = rig.send(2_000)
        async with rig.running():
            await emptied(rig.queue)
        assert now() < HALF_AN_HOUR + 30.0
        assert sorted(rig.wire.done) == sorted(f"{id_}#1" for id_ in sent)
        probes = [at for at in rig.function.times if 20.0 < at < HALF_AN_HOUR]
        assert HALF_AN_HOUR / 10 <= len(probes) <= HALF_AN_HOUR / 4
        assert not rig.told.of(LetGo)
        assert not rig.told.of(Released)
        assert rig.told.times(CircuitOpened)[0] < 30.0
        assert len(rig.told.of(CircuitClosed)) == 1

    loop.run(check())


def test_while_it_is_open_nothing_is_read_and_one_call_at_a_time_is_made() -> None:
    async def check() -> None:
        slow = Turn(Refused(Outcome.THROTTLED, "busy"), after=2.0)
        rig = Rig(QueueOptions(concurrency=20, starts_at=20), script=until(600.0, slow))
        rig.send(1_000)
        async with rig.running(500.0):
            pass
        opened = rig.told.times(CircuitOpened)[0]
        held = len(rig.receives) - sum(not receives for receives in rig.receives.values())
        assert held <= 200
        assert not [read for read in rig.wire.reads if opened < read.at < 500.0]
        calls = [at for at in rig.function.times if opened < at < 500.0]
        assert all(later - earlier >= 2.0 for earlier, later in pairwise(calls))

    loop.run(check())


def test_d1_what_is_held_too_long_is_let_go_and_probes_read_one_batch_at_a_time() -> None:
    async def check() -> None:
        options = QueueOptions(concurrency=5, starts_at=5, max_hold=60.0)
        rig = Rig(options, script=until(HALF_AN_HOUR))
        sent = rig.send(200)
        async with rig.running():
            await emptied(rig.queue)
        assert sorted(rig.queue.deleted) == sorted(sent)
        assert rig.told.of(LetGo)
        later = [read for read in rig.wire.reads if 100.0 < read.at < HALF_AN_HOUR]
        assert later
        assert len(later) <= HALF_AN_HOUR / 30

    loop.run(check())


def test_mappings_of_one_target_share_its_circuit_and_come_back_together() -> None:
    async def check() -> None:
        told, target = Told(), Function(until(300.0))
        queues = {name: FakeQueue(now, epoch=EPOCH) for name in ("a", "b", "c", "idle")}
        plans = {
            name: QueuePlan(
                name, name, True, NotedSource(queue, Faults(Steady(), {}), Wire()), "fn", QueueOptions()
            )
            for name, queue in queues.items()
        }
        running = engine(plans, {"fn": target}, told, memory_limit=PLENTY)
        for name, queue in queues.items():
            for _ in range(0 if name == "idle" else 100):
                queue.send()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            await emptied(*queues.values())
            assert now() < 320.0
            queues["idle"].send()
            await emptied(queues["idle"])
            assert now() < 325.0
            running.stop.set()
        opened, closed = told.of(CircuitOpened), told.of(CircuitClosed)
        assert (len(opened), len(closed)) == (1, 1)
        assert opened[0].target == closed[0].target == "fn"
        probes = Counter(round(at) for at in target.times if 30.0 < at < 300.0)
        assert max(probes.values()) == 1

    loop.run(check())


def test_one_call_that_reaches_the_function_is_enough_even_if_it_fails() -> None:
    async def check() -> None:
        failing = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"))
        rig = Rig(script=until(60.0, then=failing))
        rig.send(10)
        async with rig.running(90.0):
            pass
        (closed,) = rig.told.of(CircuitClosed)
        assert 30.0 < closed.seconds < 60.0

    loop.run(check())


# What stands between a batch and its call, without an engine around it

LONG = 1e6


def shared(
    target: Target,
    told: Told,
    *,
    cap: int | None = None,
    pace: Pace | None = None,
    of_engine: FairSlots | None = None,
) -> SharedTarget:
    return SharedTarget(target, TargetPlan("fn", opening(target), cap, pace), of_engine, world(told))


def caller(mapping: str, target: SharedTarget, told: Told) -> Caller:
    return Caller(mapping, target, FakeCodec(), world(told))


async def called(mine: Caller) -> Verdict:
    """With a slot in hand."""
    return await mine.call("batch", 1, (), partial(judge, (), reports=Reports.NONE))


async def keeps_calling(mine: Caller, stop: Stop, pause: float, calls: list[float] | None = None) -> None:
    """Batches one after another, each call with a slot; notes when they begin."""
    while not stop.is_set():
        if slot := await mine.slot(stop, LONG):
            with slot:
                if calls is not None:
                    calls.append(now())
                await called(mine)
        await stop.within(pause)


async def open_circuit(target: SharedTarget) -> None:
    for _ in range(5):
        await asyncio.sleep(3.0)
        target.circuit.refused(Outcome.UNREACHABLE, None)
    assert target.circuit.is_open()


class Every:
    """A pace: a call every so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def turn(self) -> None:
        await asyncio.sleep(self._seconds)


def test_who_waited_for_a_slot_when_it_opened_waits_for_the_circuit_too() -> None:
    """With a slow pace a hundred batches are on their way to the target when it is found to be down."""

    async def check() -> None:
        told, calls, stop = Told(), list[float](), Stop()
        target = shared(Function(until(1_000.0)), told, pace=Every(2.0))
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                mine = caller(f"m{number % 3}", target, told)
                tasks.create_task(keeps_calling(mine, stop, 5.0, calls))
            await asyncio.sleep(300.0)
            stop.set()
        (opened,) = told.times(CircuitOpened)
        during = sum(opened + 20.0 < at < opened + 220.0 for at in calls)
        assert 25 <= during <= 45, "as often as probes are, not as often as the pace allows"

    loop.run(check())


def test_no_slot_of_the_engine_is_held_while_the_circuit_is_waited_for() -> None:
    async def check() -> None:
        told, stop, others, of_engine = Told(), Stop(), list[float](), FairSlots(1)
        down = caller("down", shared(Function(until(1_000.0)), told, of_engine=of_engine), told)
        fine = caller("fine", shared(Function(), told, of_engine=of_engine), told)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(keeps_calling(down, stop, 5.0))
            tasks.create_task(keeps_calling(fine, stop, 1.0, others))
            await asyncio.sleep(200.0)
            stop.set()
        assert down.circuit_open
        assert max(later - earlier for earlier, later in pairwise(others)) <= 1.0

    loop.run(check())


def test_probes_come_no_earlier_than_the_target_asks_for() -> None:
    async def check() -> None:
        busy = Turn(Refused(Outcome.THROTTLED, "busy", 60.0))
        rig = Rig(QueueOptions(concurrency=5, starts_at=5), script=until(HALF_AN_HOUR, busy))
        rig.send(100)
        async with rig.running():
            await emptied(rig.queue)
        (opened,) = rig.told.times(CircuitOpened)
        probes = [at for at in rig.function.times if opened <= at < HALF_AN_HOUR]
        assert len(probes) > 10
        assert min(later - earlier for earlier, later in pairwise(probes[1:])) >= 60.0
        assert now() < HALF_AN_HOUR + 90.0

    loop.run(check())


def test_a_target_that_is_configured_wrongly_is_asked_about_twice_a_minute() -> None:
    async def check() -> None:
        wrong = Turn(Refused(Outcome.MISCONFIGURED, "HTTP 404"))
        rig = Rig(QueueOptions(concurrency=20, starts_at=20), script=until(HALF_AN_HOUR, wrong))
        sent = rig.send(1_000)
        async with rig.running():
            await emptied(rig.queue)
        probes = [at for at in rig.function.times if 300.0 < at < HALF_AN_HOUR]
        assert HALF_AN_HOUR / 60 <= len(probes) <= HALF_AN_HOUR / 25
        assert sorted(rig.wire.done) == sorted(f"{id_}#1" for id_ in sent)
        assert now() < HALF_AN_HOUR + 90.0

    loop.run(check())


def test_an_answer_that_comes_late_closes_it_and_a_late_refusal_moves_nothing() -> None:
    async def check() -> None:
        told = Told()
        late = [Turn(Refused(Outcome.THROTTLED, "late", 300.0))] * 100
        boom = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"))
        target = shared(Function(in_turn([*late, boom, *[DOWN] * 100])), told)
        mine = caller("m", target, told)
        await open_circuit(target)
        shut_for = target.circuit.shut_for
        for _ in late:
            await called(mine)
        assert target.circuit.shut_for == shut_for
        for _ in range(101):
            await called(mine)
        assert not mine.circuit_open
        assert len(told.of(CircuitClosed)) == 1

    loop.run(check())


def test_all_who_wait_pass_at_once_when_it_closes_before_the_next_probe_is_due() -> None:
    async def check() -> None:
        target = shared(Function(), Told(), cap=20)
        await open_circuit(target)
        target.circuit.refused(Outcome.UNREACHABLE, None)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(target.acquire(f"m{n % 3}", Stop(), LONG)) for n in range(20)]
            await asyncio.sleep(target.circuit.shut_for / 2)
            begun = now()
            target.circuit.reached()
            await asyncio.wait(waiting)
        assert now() == begun
        assert all(task.result() for task in waiting)

    loop.run(check())


@pytest.mark.parametrize("how", ["stop", "cancel", "patience"])
@pytest.mark.parametrize("waits_for", ["its moment", "a slot"])
def test_the_turn_of_a_probe_that_is_given_up_goes_to_the_next(how: str, waits_for: str) -> None:
    async def check() -> None:
        target, stop = shared(Function(), Told(), cap=1), Stop()
        taken = await target.acquire("x", Stop(), LONG)
        assert taken
        if waits_for == "its moment":
            taken.close()
        await open_circuit(target)
        await asyncio.sleep(0.0 if waits_for == "its moment" else target.circuit.shut_for)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(target.acquire("a", stop, 0.1 if how == "patience" else LONG))
            second = tasks.create_task(target.acquire("b", Stop(), LONG))
            await asyncio.sleep(0.1)
            if how == "stop":
                stop.set()
            if how == "cancel":
                first.cancel()
            await asyncio.wait([first])
            taken.close()
            await asyncio.wait([second])
        assert first.cancelled() or first.result() is None
        assert second.result()
        assert await target.acquire("c", Stop(), 60.0) is None, "one probe at a time"

    loop.run(check())


@pytest.mark.parametrize("step", [0.02, 0.3])
def test_a_clock_that_goes_on_between_two_looks_does_not_leave_it_open_for_ever(step: float) -> None:
    """Nothing is held when the pause before a probe ends, so that only the lane's own timer wakes it."""

    async def check() -> None:
        told, target, queue = Told(), Function(until(600.0)), FakeQueue(now, epoch=EPOCH)
        looks = count()
        here = replace(world(told), monotonic=lambda: now() + next(looks) * step)
        source = NotedSource(queue, Faults(Steady(), {}), Wire())
        options = QueueOptions(max_hold=20.0, concurrency=1)
        plan = EnginePlan(
            {"m": QueuePlan("m", "m", True, source, "fn", options)},
            {"fn": TargetPlan("fn", opening(target))},
            PLENTY,
        )
        running = Engine(plan, StatusBoard(here.wall), here, 45.0)
        for _ in range(30):
            queue.send()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            async with asyncio.timeout(1_200.0):
                await emptied(queue)
            running.stop.set()

    loop.run(check())


class Violation(BaseException):
    """No Exception, so that the caller does not take it for the target's."""


def must(truth: object, otherwise: str) -> None:
    if not truth:
        raise Violation(otherwise)


class Weather:
    """A target that is down at times, and notes who calls it then: one at a time, and none before it is due."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.cap = self.chance.choice([None, 1, 2, 5])
        self.of_engine = self.chance.choice([None, 1, 3])
        self.engine_slots = self.of_engine and FairSlots(self.of_engine)
        pace = self.chance.choice([None, Every(0.0), Every(0.5)])
        self.target = shared(self, Told(), cap=self.cap, pace=pace, of_engine=self.engine_slots or None)
        self.ends: Counter[str] = Counter()
        self.down_until = 0.0
        self.running = self.probing = 0

    async def invoke(self, _: Invocation) -> Reply:
        down, probe = now() < self.down_until, self.target.circuit.is_open()
        must(not self.target.circuit.shut_for, "called while it is shut")
        self.running += 1
        self.probing += probe
        must(self.running <= min(self.cap or 120, self.of_engine or 120), "more calls than slots")
        must(self.probing <= 1, "two probes at once")
        self.ends["probed"] += probe
        try:
            await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.3, 4.0]))
        finally:
            self.running -= 1
            self.probing -= probe
        if down:
            asked = self.chance.choice([None, None, 2.0])
            return Refused(Outcome.UNREACHABLE, "down", asked)
        return Returned(b"")

    async def batch(self, mine: Caller, stop: Stop) -> None:
        """Asks until it is through, given up, stopped or cancelled."""
        while True:
            slot = await mine.slot(stop, self.chance.choice([0.0, 1.0, 30.0, LONG]))
            if slot is not None:
                with slot:
                    verdict = await called(mine)
                if not verdict.refused:
                    self.ends["through"] += 1
                    return
            if stop.is_set() or slot is None:
                self.ends["stopped" if stop.is_set() else "gave up"] += 1
                return
            await stop.within(self.chance.choice([0.0, 1.0, 5.0]))

    async def play(self) -> None:
        told = Told()
        stops = [Stop() for _ in range(4)]
        lanes = [caller(f"m{number}", self.target, told) for number in range(4)]
        async with asyncio.TaskGroup() as tasks:
            begun: list[asyncio.Task[None]] = []
            for _ in range(120):
                number = self.chance.randrange(4)
                begun.append(tasks.create_task(self.batch(lanes[number], stops[number])))
                await self._meanwhile(begun, stops, number)
            self.down_until = now()
        self.ends["cancelled"] += sum(task.cancelled() for task in begun)
        self.ends["opened"] += len(told.of(CircuitOpened))
        await self._all_is_given_back()

    async def _meanwhile(self, begun: list[asyncio.Task[None]], stops: list[Stop], number: int) -> None:
        match self.chance.randrange(12):
            case 0 | 1:
                await asyncio.sleep(self.chance.choice([0.0, 0.5, 3.0, 20.0]))
            case 2 | 3:
                self.chance.choice(begun).cancel()
            case 4 if self.chance.random() < 0.2:
                stops[number].set()
                stops[number] = Stop()
            case 5 if now() >= self.down_until:
                self.down_until = now() + self.chance.choice([5.0, 30.0, 100.0])
            case _:
                pass

    async def _all_is_given_back(self) -> None:
        assert self.running == 0
        self.target.circuit.reached()
        for _ in range(2):
            most = min(self.cap or 10, self.of_engine or 10)
            permits = [await self.target.acquire("counting", Stop(), 60.0) for _ in range(most)]
            assert all(permits), "a slot is lost"
            if self.cap or self.of_engine:
                assert await self.target.acquire("counting", Stop(), 60.0) is None, "a slot is doubled"
            for permit in permits:
                assert permit
                permit.close()
        await open_circuit(self.target)
        probe = await self.target.acquire("counting", Stop(), 60.0)
        assert probe, "the turn to probe is lost"
        assert await self.target.acquire("counting", Stop(), 60.0) is None, "the turn to probe is doubled"


def test_whatever_ends_the_waits_no_slot_and_no_probe_is_lost_or_doubled() -> None:
    ends: Counter[str] = Counter()
    for seed in range(200):
        weather = Weather(seed)
        loop.run(weather.play())
        ends += weather.ends
    assert set(ends) == {"through", "probed", "gave up", "stopped", "cancelled", "opened"}
