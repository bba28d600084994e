"""Slots of a shared target: in turn between mappings, never leaked, never handed out twice."""

import asyncio
import random
from collections import Counter

import pytest
from runtime_world import Function, Told, now, world

from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.runtime.dispatch import Dispatcher, SharedTarget
from esm.runtime.plan import QueueOptions
from esm.runtime.signals import Stop
from esm.testing import loop
from esm.testing.target import SUCCESS, Turn, in_turn

LONG = 1e6
CALL = Invocation(b"[]", "orders", "batch", 1, "key")


def shared(cap: int | None) -> SharedTarget:
    return SharedTarget(Function(), cap)


async def slots(target: SharedTarget, most: int = 100) -> int:
    """How many slots can be had at once; gives them back."""
    stop, had = Stop(), 0
    while had < most and await target.acquire("counting", stop, 0.0):
        had += 1
    for _ in range(had):
        target.release()
    return had


def test_without_a_cap_there_is_always_a_slot() -> None:
    async def check() -> None:
        target = shared(None)
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
        for _ in range(3):
            assert await target.acquire("a", stop, 0.0)
        asyncio.get_running_loop().call_later(5.0, target.release)
        assert await target.acquire("a", stop, LONG)
        assert now() == 5.0

    loop.run(check())


def test_waiting_ends_after_its_time() -> None:
    async def check() -> None:
        target, stop = shared(1), Stop()
        assert await target.acquire("a", stop, 0.0)
        assert not await target.acquire("b", stop, 7.0)
        assert now() == 7.0
        target.release()
        assert await slots(target) == 1

    loop.run(check())


def test_waiting_ends_with_the_stop() -> None:
    async def check() -> None:
        target, stop = shared(1), Stop()
        assert await target.acquire("a", stop, 0.0)
        asyncio.get_running_loop().call_later(2.0, stop.set)
        assert not await target.acquire("b", stop, LONG)
        assert now() == 2.0
        assert not await target.acquire("c", stop, LONG)
        target.release()
        assert await slots(target) == 1

    loop.run(check())


@pytest.mark.parametrize("how", ["stop", "timeout", "cancel"])
def test_a_slot_that_is_granted_as_its_waiter_gives_up_is_not_lost(how: str) -> None:
    async def check() -> None:
        target, stop, running = shared(1), Stop(), asyncio.get_running_loop()
        assert await target.acquire("a", stop, 0.0)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(target.acquire("b", stop, 3.0 if how == "timeout" else LONG))
            await asyncio.sleep(1.0)
            running.call_at(3.0, target.release)
            if how != "timeout":
                running.call_at(3.0, stop.set if how == "stop" else waiting.cancel)
            await asyncio.wait([waiting])
        if not waiting.cancelled() and waiting.result():
            target.release()
        assert await slots(target) == 1

    loop.run(check())


def test_turns_go_round_the_mappings_and_are_first_come_first_served_in_each() -> None:
    async def check() -> None:
        target, stop, order = shared(1), Stop(), list[str]()
        assert await target.acquire("x", stop, 0.0)

        async def ask(who: str) -> None:
            assert await target.acquire(who[0], stop, LONG)
            order.append(who)
            target.release()

        async with asyncio.TaskGroup() as tasks:
            for who in ("a1", "a2", "a3", "b1", "c1", "b2"):
                tasks.create_task(ask(who))
            await asyncio.sleep(1.0)
            target.release()
        assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]

    loop.run(check())


def test_who_gave_up_does_not_cost_its_mapping_the_turn() -> None:
    async def check() -> None:
        target, stop, order = shared(1), Stop(), list[str]()
        assert await target.acquire("x", stop, 0.0)

        async def ask(who: str, within: float = LONG) -> None:
            if await target.acquire(who[0], stop, within):
                order.append(who)
                target.release()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask("a1", within=1.0))
            tasks.create_task(ask("a2"))
            tasks.create_task(ask("b1"))
            await asyncio.sleep(2.0)
            target.release()
        assert order == ["a2", "b1"]

    loop.run(check())


def test_twenty_mappings_on_ten_slots_get_their_fair_share_each() -> None:
    async def check() -> None:
        target, stop, served = shared(10), Stop(), Counter[str]()

        async def worker(mapping: str, seconds: float) -> None:
            while await target.acquire(mapping, stop, LONG):
                await asyncio.sleep(seconds)
                served[mapping] += 1
                target.release()
                if stop.is_set():
                    return

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
        if not await self.target.acquire(mapping, stop, self.chance.choice([0.0, 1.0, 5.0, LONG])):
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
            self.target.release()

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
        target = SharedTarget(Function(in_turn([])), None, EverySecond())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(target.acquire("busy", Stop(), LONG))
            await asyncio.sleep(0.5)
            assert await target.acquire("quiet", Stop(), LONG)
            assert now() <= 3.0

    loop.run(check())


# The dispatcher of one mapping


class Broken:
    """A target that breaks its contract."""

    async def invoke(self, call: Invocation) -> Reply:
        raise KeyError(call.batch_id)


def dispatcher(target: SharedTarget, **options: int) -> Dispatcher:
    return Dispatcher("orders", target, QueueOptions(**options), world(Told()))  # type: ignore[arg-type]


async def invoked(mine: Dispatcher) -> Reply:
    """One invocation, and what its outcome teaches."""
    started = now()
    async with mine.slot(Stop(), 0.0) as granted:
        assert granted
        reply = await mine.invoke(CALL)
    mine.learn(Outcome.SUCCESS if isinstance(reply, Returned) else reply.outcome, started)
    return reply


def test_a_refusal_leaves_one_batch_at_a_time_to_find_out() -> None:
    async def check() -> None:
        refused = Turn(Refused(Outcome.THROTTLED, "busy"))
        mine = dispatcher(SharedTarget(Function(in_turn([SUCCESS, refused])), 1))
        await invoked(mine)
        mine.in_flight = 3
        assert (mine.refused, mine.open, mine.limit) == (False, True, 5)
        await invoked(mine)
        assert (mine.refused, mine.open, mine.limit) == (True, False, 5)
        mine.in_flight = 0
        assert mine.open
        await invoked(mine)
        mine.in_flight = 3
        assert (mine.refused, mine.open) == (False, True)

    loop.run(check())


@pytest.mark.parametrize("outcome", [Outcome.FUNCTION_ERROR, Outcome.TIMEOUT])
def test_a_failure_halves_the_slots_and_successes_win_them_back(outcome: Outcome) -> None:
    async def check() -> None:
        turns = [Turn(Errored(outcome, "boom"))] + [Turn(Returned(b"not json"))] * 40
        mine = dispatcher(SharedTarget(Function(in_turn(turns)), 1), starts_at=8, concurrency=8)
        assert mine.free == 8
        await invoked(mine)
        assert mine.free == 4
        for _ in range(40):
            await invoked(mine)
        assert mine.free == 8

    loop.run(check())


def test_free_slots_are_those_not_in_flight_and_none_of_a_closed_target() -> None:
    async def check() -> None:
        mine = dispatcher(shared(None), starts_at=2)
        mine.in_flight = 3
        assert (mine.free, mine.open) == (0, False)
        mine.in_flight = 1
        assert (mine.free, mine.open) == (1, True)
        closed = dispatcher(shared(0), starts_at=2)
        assert (closed.free, closed.open) == (0, False)

    loop.run(check())


def test_d18_the_backlog_moves_the_limit() -> None:
    async def check() -> None:
        mine = dispatcher(shared(None), concurrency=20)
        mine.backlog(0.0, full=True, all_taken=True)
        assert mine.limit == 7
        mine.backlog(10.0, full=True, all_taken=False)
        mine.backlog(69.0, full=False, all_taken=True)
        assert mine.limit == 7
        mine.backlog(70.0, full=False, all_taken=True)
        assert mine.limit == 5

    loop.run(check())


def test_a_target_that_raises_is_a_function_error_and_gives_its_slot_back() -> None:
    async def check() -> None:
        target = SharedTarget(Broken(), 1)
        reply = await invoked(dispatcher(target))
        assert reply == Errored(Outcome.FUNCTION_ERROR, "the target raised KeyError: 'batch'")
        assert await slots(target) == 1

    loop.run(check())


def test_an_invocation_that_is_cancelled_gives_its_slot_back() -> None:
    async def check() -> None:
        target = SharedTarget(Function(lambda _: Turn(Returned(b""), LONG)), 1)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(invoked(dispatcher(target)))
            await asyncio.sleep(1.0)
            assert await slots(target) == 0
            task.cancel()
        assert await slots(target) == 1

    loop.run(check())
