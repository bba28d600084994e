"""Slots of a shared target: in turn between mappings, never leaked, never handed out twice."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest
from asyncio_throttle import throttler
from runtime_world import Function, Told, now, world

from esm.model import Invocation
from esm.ports import Pace, Target
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.calling.slots import FairSlots
from esm.runtime.plan import TargetPlan
from esm.runtime.signals import Stop
from esm.targets.rate import Rate
from esm.testing import loop

LONG = 1e6
CALL = Invocation(b"[]", "orders", "batch", 1, "key")


def shared(
    cap: int | None = None,
    target: Target | None = None,
    pace: Pace | None = None,
    of_engine: FairSlots | None = None,
) -> SharedTarget:
    target = target or Function()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Target]:
        yield target

    return SharedTarget(target, TargetPlan("fn", opened, cap, pace), of_engine, world(Told()))


async def had(target: SharedTarget, mapping: str) -> ExitStack:
    """A permit, however long it takes."""
    permit = await target.acquire(mapping, Stop(), LONG)
    assert permit is not None
    return permit


async def slots(target: SharedTarget, most: int = 100) -> int:
    """How many slots can be had at once; gives them back."""
    stop, permits = Stop(), list[ExitStack]()
    while len(permits) < most and (permit := await target.acquire("counting", stop, 0.0)):
        permits.append(permit)
    for permit in permits:
        permit.close()
    return len(permits)


def test_without_a_cap_there_is_always_a_slot() -> None:
    async def check() -> None:
        target = shared()
        assert await slots(target, 1_000) == 1_000
        assert not target.closed

    loop.run(check())


def test_a_cap_of_zero_is_closed() -> None:
    async def check() -> None:
        target = shared(0)
        assert target.closed
        assert await slots(target) == 0

    loop.run(check())


def test_the_cap_is_the_number_of_slots_and_a_release_hands_one_on() -> None:
    async def check() -> None:
        target, stop = shared(3), Stop()
        assert await slots(target) == 3
        permits = [await had(target, "a") for _ in range(3)]
        asyncio.get_running_loop().call_later(5.0, permits[0].close)
        assert await target.acquire("a", stop, LONG)
        assert now() == 5.0

    loop.run(check())


def test_waiting_ends_after_its_time() -> None:
    async def check() -> None:
        target, stop = shared(1), Stop()
        permit = await had(target, "a")
        assert not await target.acquire("b", stop, 7.0)
        assert now() == 7.0
        permit.close()
        assert await slots(target) == 1

    loop.run(check())


def test_waiting_ends_with_the_stop() -> None:
    async def check() -> None:
        target, stop = shared(1), Stop()
        permit = await had(target, "a")
        asyncio.get_running_loop().call_later(2.0, stop.set)
        assert not await target.acquire("b", stop, LONG)
        assert now() == 2.0
        assert not await target.acquire("c", stop, LONG)
        permit.close()
        assert await slots(target) == 1

    loop.run(check())


@pytest.mark.parametrize("how", ["stop", "timeout", "cancel"])
def test_a_slot_that_is_granted_as_its_waiter_gives_up_is_not_lost(how: str) -> None:
    async def check() -> None:
        target, stop, running = shared(1), Stop(), asyncio.get_running_loop()
        permit = await had(target, "a")
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(target.acquire("b", stop, 3.0 if how == "timeout" else LONG))
            await asyncio.sleep(1.0)
            running.call_at(3.0, permit.close)
            if how != "timeout":
                running.call_at(3.0, stop.set if how == "stop" else waiting.cancel)
            await asyncio.wait([waiting])
        if not waiting.cancelled() and (granted := waiting.result()):
            granted.close()
        assert await slots(target) == 1

    loop.run(check())


def test_turns_go_round_the_mappings_and_are_first_come_first_served_in_each() -> None:
    async def check() -> None:
        target, order = shared(1), list[str]()
        permit = await had(target, "x")

        async def ask(who: str) -> None:
            with await had(target, who[0]):
                order.append(who)

        async with asyncio.TaskGroup() as tasks:
            for who in ("a1", "a2", "a3", "b1", "c1", "b2"):
                tasks.create_task(ask(who))
            await asyncio.sleep(1.0)
            permit.close()
        assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]

    loop.run(check())


def test_who_gave_up_does_not_cost_its_mapping_the_turn() -> None:
    async def check() -> None:
        target, stop, order = shared(1), Stop(), list[str]()
        permit = await had(target, "x")

        async def ask(who: str, within: float = LONG) -> None:
            if granted := await target.acquire(who[0], stop, within):
                order.append(who)
                granted.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask("a1", within=1.0))
            tasks.create_task(ask("a2"))
            tasks.create_task(ask("b1"))
            await asyncio.sleep(2.0)
            permit.close()
        assert order == ["a2", "b1"]

    loop.run(check())


def test_twenty_mappings_on_ten_slots_get_their_fair_share_each() -> None:
    async def check() -> None:
        target, stop, served = shared(10), Stop(), Counter[str]()

        async def worker(mapping: str, seconds: float) -> None:
            while permit := await target.acquire(mapping, stop, LONG):
                with permit:
                    await asyncio.sleep(seconds)
                    served[mapping] += 1

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                for _ in range(200 if number == 0 else 1 + number % 5):
                    tasks.create_task(worker(f"m{number}", 1.0))
            await asyncio.sleep(200.0)
            stop.set()
        assert len(served) == 20
        fair = sum(served.values()) / 20
        assert min(served.values()) >= fair / 2
        assert sum(served.values()) == pytest.approx(2_000, abs=20)
        assert await slots(target) == 10

    loop.run(check())


class Hammer:
    """Mappings that wait, time out, are stopped and cancelled by a seeded chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.cap = self.chance.choice([1, 2, 5])
        self.target = shared(self.cap)
        self.used = self.most = 0
        self.ends: Counter[str] = Counter()

    async def one(self, mapping: str, stop: Stop) -> None:
        permit = await self.target.acquire(mapping, stop, self.chance.choice([0.0, 1.0, 5.0, LONG]))
        if permit is None:
            self.ends["stopped" if stop.is_set() else "timed out"] += 1
            return
        self.used += 1
        self.most = max(self.most, self.used)
        assert self.used <= self.cap
        try:
            await asyncio.sleep(self.chance.choice([0.0, 1.0, 2.0]))
            self.ends["served"] += 1
        finally:
            self.used -= 1
            permit.close()

    async def play(self) -> None:
        stops = [Stop() for _ in range(4)]
        async with asyncio.TaskGroup() as tasks:
            begun: list[asyncio.Task[None]] = []
            for _ in range(60):
                number = self.chance.randrange(4)
                begun.append(tasks.create_task(self.one(f"m{number}", stops[number])))
                match self.chance.randrange(8):
                    case 0:
                        await asyncio.sleep(self.chance.choice([0.0, 1.0]))
                    case 1:
                        begun[self.chance.randrange(len(begun))].cancel()
                    case 2 if self.chance.random() < 0.2:
                        stops[number].set()
                        stops[number] = Stop()
                    case _:
                        pass
        self.ends["cancelled"] += sum(task.cancelled() for task in begun)
        assert self.used == 0
        assert await slots(self.target) == self.cap


def test_whatever_ends_the_waits_no_slot_is_lost_or_doubled() -> None:
    ends: Counter[str] = Counter()
    for seed in range(150):
        hammer = Hammer(seed)
        loop.run(hammer.play())
        ends += hammer.ends
    assert set(ends) == {"served", "timed out", "stopped", "cancelled"}


def test_the_pace_is_shared_in_turn_too() -> None:
    """A mapping with many batches waiting does not hold up one with a single batch."""

    class EverySecond:
        async def turn(self) -> None:
            await asyncio.sleep(1.0)

    async def check() -> None:
        target = shared(pace=EverySecond())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(had(target, "busy"))
            await asyncio.sleep(0.5)
            await had(target, "quiet")
            assert now() <= 3.0

    loop.run(check())


def test_the_slots_of_the_engine_bound_all_targets_together_and_go_round_too() -> None:
    async def check() -> None:
        of_engine, served = FairSlots(4), Counter[str]()
        targets = [shared(of_engine=of_engine) for _ in range(4)]
        stop, running = Stop(), 0

        async def worker(target: SharedTarget, mapping: str) -> None:
            nonlocal running
            while permit := await target.acquire(mapping, stop, LONG):
                with permit:
                    running += 1
                    assert running <= 4
                    await asyncio.sleep(1.0)
                    running -= 1
                    served[mapping] += 1

        async with asyncio.TaskGroup() as tasks:
            for number, target in enumerate(targets):
                for _ in range(100 if number == 0 else 2):
                    tasks.create_task(worker(target, f"m{number}"))
            await asyncio.sleep(100.0)
            stop.set()
        assert sum(served.values()) == pytest.approx(400, abs=4)
        assert min(served.values()) >= 50

    loop.run(check())


def test_a_slow_pace_does_not_keep_slots_of_the_engine_from_others() -> None:
    class Hourly:
        async def turn(self) -> None:
            await asyncio.sleep(3_600.0)

    async def check() -> None:
        of_engine = FairSlots(1)
        slow, quick = shared(pace=Hourly(), of_engine=of_engine), shared(of_engine=of_engine)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(slow.acquire("slow", Stop(), 60.0))
            for _ in range(5):
                (await had(quick, "quick")).close()
            assert now() == 0.0

    loop.run(check())


@pytest.mark.parametrize("per_second", [0.5, 7.0, 50.0])
def test_the_rate_is_kept_within_five_percent_over_ten_seconds(
    per_second: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttler, "time", SimpleNamespace(monotonic=now))

    async def check() -> None:
        target, stop, calls = shared(pace=Rate(per_second)), Stop(), list[float]()

        async def worker() -> None:
            while permit := await target.acquire("busy", stop, LONG):
                with permit:
                    calls.append(now())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(worker())
            await asyncio.sleep(60.0)
            stop.set()
        for begin in range(5, 50, 5):
            within = sum(begin <= at < begin + 10 for at in calls)
            assert within == pytest.approx(10 * per_second, rel=0.05, abs=1)

    loop.run(check())
