"""Running tasks equal wanted keys; a sick key is its own trouble."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping

import pytest
from runtime_world import Told, now, world

from esm.runtime.follow import Barrier, follow
from esm.runtime.signals import Stop
from esm.testing import loop

Wanted = tuple[float, Mapping[str, int]]


class Scene:
    """What is wanted when, how keys behave, and what came of it."""

    def __init__(self, *wanted: Wanted, drains: float = 0.0) -> None:
        self.wanted = wanted
        self.drains = drains
        self.stop = Stop()
        self.log: list[tuple[float, str]] = []
        self.reports: list[tuple[float, Hashable, BaseException, float]] = []
        self.errors: dict[str, list[BaseException]] = {}
        self.lasts: dict[str, float] = {}

    async def sets(self) -> AsyncIterator[Mapping[str, int]]:
        for at, want in self.wanted:
            await asyncio.sleep(max(0.0, at - now()))
            yield want

    async def run_key(self, key: str, value: int, stop: Stop) -> None:
        self.log.append((now(), f"+{key}{value}"))
        try:
            if errors := self.errors.get(key):
                await asyncio.sleep(self.lasts.get(key, 0.0))
                raise errors.pop(0)
            await stop.wait()
            await asyncio.sleep(self.drains)
        finally:
            self.log.append((now(), f"-{key}{value}"))

    def report(self, key: Hashable, error: BaseException, pause: float) -> None:
        self.reports.append((now(), key, error, pause))

    async def play(self, until: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            barrier = Barrier(self.report, world(Told()))
            tasks.create_task(follow(self.sets(), self.run_key, stop=self.stop, barrier=barrier))
            await asyncio.sleep(until)
            self.stop.set()


def test_keys_start_stop_and_stay() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1, "b": 1}), (5.0, {"b": 1, "c": 1}))
        await scene.play(10.0)
        assert set(scene.log[:2]) == {(0.0, "+a1"), (0.0, "+b1")}
        assert scene.log[2:4] == [(5.0, "-a1"), (5.0, "+c1")]
        assert set(scene.log[4:]) == {(10.0, "-b1"), (10.0, "-c1")}

    loop.run(check())


def test_a_changed_value_stops_drains_and_starts_anew() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}), (5.0, {"a": 2}), drains=3.0)
        await scene.play(20.0)
        assert scene.log == [(0.0, "+a1"), (8.0, "-a1"), (8.0, "+a2"), (23.0, "-a2")]

    loop.run(check())


def test_the_stop_ends_the_wait_for_the_next_set_and_drains_what_runs() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}), (1_000.0, {}), drains=3.0)
        await scene.play(5.0)
        assert scene.log == [(0.0, "+a1"), (8.0, "-a1")]
        assert now() == 8.0

    loop.run(check())


def test_the_stop_before_the_first_set_starts_nothing() -> None:
    async def check() -> None:
        scene = Scene((1_000.0, {"a": 1}))
        await scene.play(5.0)
        assert (scene.log, now()) == ([], 5.0)

    loop.run(check())


def test_the_stop_reaches_the_others_while_a_key_that_left_still_drains() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1, "b": 1}), (1.0, {"b": 1}), drains=30.0)
        await scene.play(5.0)
        assert (31.0, "-a1") in scene.log
        assert (35.0, "-b1") in scene.log

    loop.run(check())


def test_a_sick_key_never_disturbs_the_others() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"sick": 1, "well": 1}))
        scene.errors["sick"] = [ValueError("boom") for _ in range(6)]
        await scene.play(1_000.0)
        assert [entry for entry in scene.log if "well" in entry[1]] == [(0.0, "+well1"), (1_000.0, "-well1")]
        assert [(key, str(error)) for _, key, error, _ in scene.reports] == [("sick", "boom")] * 6
        assert [pause for *_, pause in scene.reports] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
        assert [at for at, what in scene.log if what == "+sick1"] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]

    loop.run(check())


def test_who_ran_well_for_a_minute_begins_with_short_pauses_again() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}))
        scene.errors["a"] = [ValueError() for _ in range(3)]
        scene.lasts["a"] = 61.0
        await scene.play(500.0)
        assert [pause for *_, pause in scene.reports] == [0.5, 0.5, 0.5]
        scene = Scene((now(), {"a": 1}))
        scene.errors["a"] = [ValueError() for _ in range(3)]
        scene.lasts["a"] = 60.0
        await scene.play(500.0)
        assert [pause for *_, pause in scene.reports] == [0.5, 1.0, 2.0]

    loop.run(check())


def test_the_pause_never_exceeds_five_minutes_and_the_stop_ends_it() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}))
        scene.errors["a"] = [ValueError() for _ in range(1_000)]
        await scene.play(3_000.0)
        assert max(pause for *_, pause in scene.reports) == 150.0
        assert now() == 3_000.0

    loop.run(check())


def test_an_error_is_reported_without_the_groups_around_it() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}))
        inner = KeyError("the cause")
        scene.errors["a"] = [ExceptionGroup("outer", [ExceptionGroup("inner", [inner]), ValueError()])]
        await scene.play(10.0)
        assert [error for _, _, error, _ in scene.reports] == [inner]

    loop.run(check())


def test_a_key_that_ends_by_itself_is_left_alone() -> None:
    async def check() -> None:
        started: list[float] = []

        async def run_key(key: str, value: int, stop: Stop) -> None:
            started.append(now())

        scene = Scene((0.0, {"a": 1}), (5.0, {"a": 1}))
        barrier = Barrier(scene.report, world(Told()))
        asyncio.get_running_loop().call_later(10.0, scene.stop.set)
        await follow(scene.sets(), run_key, stop=scene.stop, barrier=barrier)
        assert (started, scene.reports, now()) == ([0.0], [], 10.0)

    loop.run(check())


def test_cancelling_cancels_what_runs() -> None:
    async def check() -> None:
        scene = Scene((0.0, {"a": 1}), drains=1_000.0)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(scene.play(500.0))
            await asyncio.sleep(5.0)
            task.cancel()
        assert scene.log == [(0.0, "+a1"), (5.0, "-a1")]

    loop.run(check())


@pytest.mark.parametrize("error", [ValueError("no lanes"), TimeoutError("asking took too long")])
def test_an_error_of_the_wanted_sets_is_not_swallowed(error: Exception) -> None:
    """It reaches the barrier one level up, which tries again; silence would leave nothing running for ever."""

    async def sets() -> AsyncIterator[Mapping[str, int]]:
        yield {"a": 1}
        await asyncio.sleep(1.0)
        raise error

    async def check() -> None:
        scene = Scene()
        asyncio.get_running_loop().call_later(100.0, scene.stop.set)
        with pytest.raises(ExceptionGroup) as caught:
            await follow(sets(), scene.run_key, stop=scene.stop, barrier=Barrier(scene.report, world(Told())))
        assert caught.value.exceptions == (error,)
        assert now() == 1.0

    loop.run(check())


@pytest.mark.parametrize("steps", range(8))
def test_a_cancellation_is_heeded_that_comes_while_a_group_of_tasks_fails(steps: int) -> None:
    """Python before 3.13 raises the failure alone then, and the cancellation would be forgotten."""

    async def check() -> None:
        failing = asyncio.Event()

        async def fail() -> None:
            await failing.wait()
            raise ValueError

        async def run(_key: str, _value: int, stop: Stop) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await stop.wait()

        barrier = Barrier(lambda *_: None, world(Told()))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(barrier.run("a", 1, run, Stop()))
            await asyncio.sleep(1.0)
            failing.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=600.0)
            assert task.cancelled()

    loop.run(check())


def test_what_failed_in_a_group_of_tasks_that_only_waited_runs_again() -> None:
    """Python before 3.13 leaves a request to cancel behind then, which is nobody's."""

    async def check() -> None:
        async def fail() -> None:
            await asyncio.sleep(1.0)
            raise ValueError

        async def run(_key: str, _value: int, _stop: Stop) -> None:
            began.append(now())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())

        began: list[float] = []
        stop = Stop()
        asyncio.get_running_loop().call_later(3_600.0, stop.set)
        await Barrier(lambda *_: None, world(Told())).run("a", 1, run, stop)
        assert len(began) > 3

    loop.run(check())
