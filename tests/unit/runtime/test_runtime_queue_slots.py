"""The slots of a queue's mapping: how many are free, as backlog, health and refusals move them."""

import asyncio
from functools import partial

import pytest
from runtime_world import Function, Told, now, opening, world

from esm.core.queue.judging import Reports, judge
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned, Verdict
from esm.ports import Target
from esm.runtime.calling.caller import Caller
from esm.runtime.calling.shared import SharedTarget
from esm.runtime.plan import QueueOptions, TargetPlan
from esm.runtime.queue.slots import Slots
from esm.runtime.signals import Stop
from esm.testing import loop
from esm.testing.queue.fake import FakeCodec
from esm.testing.target import SUCCESS, Turn, in_turn

LONG = 1e6


class Broken:
    """A target that breaks its contract."""

    async def invoke(self, call: Invocation) -> Reply:
        raise KeyError(call.batch_id)


def shared(target: Target | None = None, cap: int | None = None) -> SharedTarget:
    target = target or Function()
    return SharedTarget(target, TargetPlan("fn", opening(target), cap), None, world(Told()))


def slots(target: SharedTarget, **options: int) -> Slots:
    here = world(Told())
    caller = Caller("orders", target, FakeCodec(), here)
    return Slots(caller, QueueOptions(**options), here)  # type: ignore[arg-type]


async def invoked(mine: Slots) -> Verdict:
    """One invocation, and what its outcome teaches."""
    started = now()
    slot = await mine.caller.slot(Stop(), 0.0)
    assert slot is not None
    with slot:
        verdict = await mine.caller.call("batch", 1, (), partial(judge, (), reports=Reports.NONE))
    mine.learn(verdict, started)
    return verdict


async def are_free(target: SharedTarget, cap: int) -> bool:
    """Exactly so many slots of the target can be had."""
    permits = [await target.acquire("counting", Stop(), 0.0) for _ in range(cap + 1)]
    for permit in permits:
        if permit is not None:
            permit.close()
    return [permit is not None for permit in permits] == [*[True] * cap, False]


def test_a_refusal_leaves_one_batch_at_a_time_to_find_out() -> None:
    async def check() -> None:
        refused = Turn(Refused(Outcome.THROTTLED, "busy"))
        mine = slots(shared(Function(in_turn([SUCCESS, refused]))))
        await invoked(mine)
        for _ in range(3):
            mine.began()
        assert (mine.free, mine.limit) == (2, 5)
        await invoked(mine)
        assert (mine.free, mine.limit) == (0, 5)
        for _ in range(3):
            mine.ended()
        assert mine.free == 1
        await invoked(mine)
        assert mine.free == 5

    loop.run(check())


def test_d1_who_shares_an_open_circuit_has_one_batch_for_a_probe_though_it_was_never_refused() -> None:
    async def check() -> None:
        target = shared(Function(lambda _: Turn(Refused(Outcome.UNREACHABLE, "down"))))
        mine, other = slots(target), slots(target, starts_at=3)
        while not mine.caller.circuit_open:
            await invoked(mine)
            await asyncio.sleep(3.0)
        assert (mine.caller.shut_for is None, other.free) == (True, 1)
        other.began()
        assert other.free == 0

    loop.run(check())


@pytest.mark.parametrize("outcome", [Outcome.FUNCTION_ERROR, Outcome.TIMEOUT])
def test_a_failure_halves_the_slots_and_successes_win_them_back(outcome: Outcome) -> None:
    async def check() -> None:
        turns = [Turn(Errored(outcome, "boom"))] + [Turn(Returned(b"not json"))] * 40
        mine = slots(shared(Function(in_turn(turns))), starts_at=8, concurrency=8)
        assert mine.free == 8
        await invoked(mine)
        assert mine.free == 4
        for _ in range(40):
            await invoked(mine)
        assert mine.free == 8

    loop.run(check())


def test_free_slots_are_those_not_in_flight_and_none_of_a_closed_target() -> None:
    async def check() -> None:
        mine = slots(shared(), starts_at=2)
        for free in (1, 0, 0):
            mine.began()
            assert mine.free == free
        assert slots(shared(cap=0), starts_at=2).free == 0

    loop.run(check())


def test_d18_the_backlog_moves_the_limit() -> None:
    async def check() -> None:
        mine = slots(shared(), concurrency=20)
        mine.scarce(0.0)
        assert mine.limit == 7
        mine.busy(10.0)
        mine.quiet(69.0)
        assert mine.limit == 7
        mine.quiet(70.0)
        assert mine.limit == 5

    loop.run(check())


def test_a_target_that_raises_is_a_function_error_and_gives_its_slot_back() -> None:
    async def check() -> None:
        target = shared(Broken(), 1)
        verdict = await invoked(slots(target))
        assert (verdict.outcome, verdict.why) == (Outcome.FUNCTION_ERROR, "the target raised KeyError: 'batch'")
        assert await are_free(target, 1)

    loop.run(check())


def test_an_invocation_that_is_cancelled_gives_its_slot_back() -> None:
    async def check() -> None:
        target = shared(Function(lambda _: Turn(Returned(b""), LONG)), 1)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(invoked(slots(target)))
            await asyncio.sleep(1.0)
            assert await are_free(target, 0)
            task.cancel()
        assert await are_free(target, 1)

    loop.run(check())
