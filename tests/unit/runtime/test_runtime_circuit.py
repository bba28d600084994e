"""A target that refuses every call: left alone but for probes, and back at once when one reaches it."""

import asyncio
from collections import Counter
from itertools import pairwise

from runtime_world import EPOCH, PLENTY, Function, NotedSource, Rig, Steady, Told, Wire, emptied, engine, now

from esm.model import Errored, Outcome, Refused
from esm.runtime.happenings import CircuitClosed, CircuitOpened, LetGo, Released
from esm.runtime.plan import MappingPlan, QueueOptions
from esm.testing import loop
from esm.testing.queue import FakeQueue, Faults
from esm.testing.target import SUCCESS, Script, Turn

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
            name: MappingPlan(
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
