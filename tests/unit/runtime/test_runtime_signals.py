"""Stop and Bell: a request that comes once, and a ring that wakes one loop."""

import asyncio

from runtime_world import now

from esm.runtime.signals import Bell, Stop
from esm.testing import loop


def test_a_stop_calls_back_once_however_often_it_is_asked() -> None:
    async def check() -> None:
        stop, calls = Stop(), list[str]()
        stop.then(lambda: calls.append("a"))
        withdraw = stop.then(lambda: calls.append("withdrawn"))
        withdraw()
        assert not stop.is_set()
        stop.set()
        stop.set()
        assert (stop.is_set(), calls) == (True, ["a"])

    loop.run(check())


def test_a_stop_that_has_come_calls_back_at_once_and_can_still_be_withdrawn() -> None:
    async def check() -> None:
        stop, calls = Stop(), list[str]()
        stop.set()
        withdraw = stop.then(lambda: calls.append("late"))
        assert calls == ["late"]
        withdraw()

    loop.run(check())


def test_waiting_for_a_stop_ends_with_it_or_with_the_time() -> None:
    async def check() -> None:
        stop = Stop()
        assert not await stop.within(5.0)
        assert now() == 5.0
        asyncio.get_running_loop().call_later(2.0, stop.set)
        assert await stop.within(5.0)
        assert now() == 7.0
        assert await stop.within(5.0)
        await stop.wait()
        assert now() == 7.0

    loop.run(check())


def test_rings_that_nobody_heard_count_once() -> None:
    async def check() -> None:
        bell = Bell()
        bell.ring()
        bell.ring()
        await bell.heard()
        assert now() == 0.0
        await bell.heard(within=3.0)
        assert now() == 3.0

    loop.run(check())


def test_a_ring_ends_the_wait() -> None:
    async def check() -> None:
        bell = Bell()
        asyncio.get_running_loop().call_later(2.0, bell.ring)
        await bell.heard(within=30.0)
        assert now() == 2.0
        asyncio.get_running_loop().call_later(2.0, bell.ring)
        await bell.heard()
        assert now() == 4.0

    loop.run(check())
