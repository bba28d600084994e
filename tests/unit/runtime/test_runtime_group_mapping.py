"""A mapping whose lanes a group shares out: joining, moving, draining, and what can be seen of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from runtime_log_world import NotedDestination, NotedFunction
from runtime_world import EPOCH, PLENTY, Told, now, opening, world

from esm.errors import Disconnected
from esm.model import Absence, Errored, Lane, LogPage, Outcome
from esm.runtime.engine import Engine
from esm.runtime.happenings import Happening, SourceFailed, SourceRecovered
from esm.runtime.lane_happenings import LaneLost, LaneStopped, NotMoving
from esm.runtime.log import lane as log_lane
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.group.fake import FakeGroup
from esm.testing.group.source import FakeGroupSource, FakeTopicReader, Link
from esm.testing.target import SUCCESS, Script, Turn

FAILURE = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"))
SLOW = Turn(SUCCESS.reply, 3.0)
ENDLESS = Turn(SUCCESS.reply, 10_000.0)


class Member:
    """One engine of several, and all that was seen of it."""

    def __init__(self, group: FakeGroup, faults: Faults, options: LogOptions, script: Script) -> None:
        self.function = NotedFunction(script)
        self.destination = NotedDestination()
        self.told = Told()
        self.board = StatusBoard(lambda: EPOCH + now())
        self.source = FakeGroupSource(group, faults)
        plan = LogPlan(
            "orders", "id", True, self.source, "fn", options,
            on_failure=[DestinationPlan("dead", opening(self.destination))],
        )  # fmt: skip
        targets = {"fn": TargetPlan("fn", opening(self.function))}
        self.engine = Engine(EnginePlan({"orders": plan}, targets, PLENTY), self.board, world(self._tell), 45.0)

    def _tell(self, happening: Happening) -> None:
        self.told(happening)
        self.board.tell(happening)

    @property
    def lanes(self) -> dict[str, str]:
        """Their states."""
        seen = self.board.mapping("orders")
        return {} if seen is None else {name: lane.state for name, lane in seen.lanes.items()}


class Rig:
    """A topic, its group, and engines over it."""

    def __init__(self, options: LogOptions | None = None, *, partitions: int = 1) -> None:
        self.rates: dict[str, float] = {}
        self.faults = Faults(random.Random(1), self.rates)
        self.group = FakeGroup(now, self.faults, epoch=EPOCH, partitions=partitions)
        self.options = options or LogOptions()

    @asynccontextmanager
    async def coordinated(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            coordinating = tasks.create_task(self.group.coordinate())
            yield
            coordinating.cancel()

    @asynccontextmanager
    async def member(self, script: Script = lambda _: SUCCESS, **options: Any) -> AsyncIterator[Member]:
        member = Member(self.group, self.faults, replace(self.options, **options), script)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(member.engine.run())
            yield member
            member.engine.stop.set()

    def put(self, *keys: str, lane: str = "t-0") -> list[str]:
        return [self.group.put(lane, key).id for word in keys for key in word]


def test_a_lane_that_moves_finishes_what_is_under_way_and_is_not_seen_any_more() -> None:
    async def story() -> None:
        rig = Rig(LogOptions(checkpoint_interval=1000.0), partitions=2)
        rig.put("a", lane="t-0")
        rig.put("b", lane="t-1")
        async with rig.coordinated(), rig.member(lambda _: SLOW) as one:
            await asyncio.sleep(2.0)
            assert one.lanes == {"t-0": "Reading", "t-1": "Reading"}
            async with rig.member() as other:
                await asyncio.sleep(10.0)
                (moved,) = other.lanes
                assert set(one.lanes) == {"t-0", "t-1"} - {moved}
                assert not other.function.invocations, "what was finished before it moved was committed"
                assert rig.group.position(moved).offset == 1

    loop.run(story())


def test_a_lane_whose_call_takes_too_long_is_cut_off_and_has_lost_nothing_by_that() -> None:
    async def story() -> None:
        rig = Rig(LogOptions(maximum_retry_attempts=0), partitions=2)
        rig.put("a", lane="t-0")
        rig.put("b", lane="t-1")
        async with rig.coordinated(), rig.member(lambda _: ENDLESS) as one:
            await asyncio.sleep(2.0)
            async with rig.member() as other:
                await asyncio.sleep(20.0)
                assert not rig.faults.fired["revoke too slow"]
                (moved,) = other.lanes
                assert [call.attempt for call in other.function.invocations] == [1]
                assert [told.lane for told in one.told.of(LaneStopped)] == [moved]
                assert not one.destination.notices
                one.engine.abort()

    loop.run(story())


def test_a_group_that_cannot_be_used_is_told_joined_again_and_told_well() -> None:
    async def story() -> None:
        rig = Rig()
        rig.group.away_until = 10.0
        async with rig.coordinated(), rig.member() as one:
            await asyncio.sleep(9.0)
            assert len(one.told.of(SourceFailed)) >= 2
            assert not one.told.of(SourceRecovered)
            rig.put("a")
            await asyncio.sleep(60.0)
            assert len(one.told.of(SourceRecovered)) == 1
            assert len(one.function.invocations) == 1
            rig.rates["membership fails"] = 1.0
            rig.group.add()
            await asyncio.sleep(5.0)
            rig.rates.clear()
            rig.put("b")
            await asyncio.sleep(300.0)
            assert len(one.told.of(SourceRecovered)) == 2
            assert set(one.lanes) == {"t-0", "t-1"}
            assert len(one.function.invocations) == 2

    loop.run(story())


def test_a_member_without_lanes_that_cannot_reach_its_group_is_told_of_until_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        tells: list[Callable[[Absence], None]] = []
        monkeypatch.setattr(Link, "listen", lambda _, tell: tells.append(tell), raising=False)
        rig = Rig(partitions=1)
        async with rig.coordinated(), rig.member() as one:
            await asyncio.sleep(5.0)
            tells[0](Absence("unreachable", "scripted", 15.0))
            assert [each.pause for each in one.told.of(SourceFailed)] == [15.0]
            for _ in range(2):
                tells[0](Absence())
            assert len(one.told.of(SourceRecovered)) == 1

    loop.run(story())


@pytest.mark.parametrize(("lasting", "most"), [(True, 20), (False, 100)])
def test_a_membership_that_ends_soon_is_no_success(
    monkeypatch: pytest.MonkeyPatch, *, lasting: bool, most: int
) -> None:
    """Two processes with one `group_instance_id` take everything from each other, each time they join."""

    async def fenced(link: Link) -> AsyncIterator[Any]:
        yield [Lane("t-0")]
        await asyncio.sleep(1.0)
        raise Disconnected("FencedInstanceId", "scripted", lasting=lasting)

    async def story() -> None:
        rig = Rig()
        async with rig.coordinated(), rig.member() as one:
            await asyncio.sleep(600.0)
            assert 5 < len(one.told.of(SourceFailed)) < most

    monkeypatch.setattr(Link, "lanes", fenced)
    loop.run(story())


def test_what_is_under_way_when_the_group_cannot_be_used_any_more_is_finished_and_committed() -> None:
    async def story() -> None:
        rig = Rig(LogOptions(checkpoint_interval=1000.0))
        rig.put("a")
        async with rig.coordinated(), rig.member(lambda _: SLOW) as one:
            await asyncio.sleep(1.0)
            rig.rates["membership fails"] = 1.0
            rig.group.add()
            await asyncio.sleep(5.0)
            assert one.told.of(SourceFailed)
            assert rig.group.position("t-0").offset == 1
            rig.rates.clear()
            await asyncio.sleep(100.0)
            assert len(one.function.invocations) == 1

    loop.run(story())


def test_a_call_that_does_not_end_does_not_keep_us_from_joining_again() -> None:
    async def story() -> None:
        rig = Rig()
        rig.put("a")
        calls = iter([ENDLESS, SUCCESS])
        async with rig.coordinated(), rig.member(lambda _: next(calls)) as one:
            await asyncio.sleep(1.0)
            rig.rates["membership fails"] = 1.0
            rig.group.add()
            await asyncio.sleep(1.0)
            rig.rates.clear()
            await asyncio.sleep(60.0)
            assert len(one.function.invocations) == 2
            assert set(one.lanes) == {"t-0", "t-1"}

    loop.run(story())


def test_a_stop_of_the_engine_has_its_patience_and_not_that_of_a_revocation() -> None:
    async def story() -> None:
        rig = Rig(LogOptions(checkpoint_interval=1000.0))
        rig.put("a")
        async with rig.coordinated():
            async with rig.member(lambda _: Turn(SUCCESS.reply, 20.0)) as one:
                assert one.source.drain < 20.0
                await asyncio.sleep(2.0)
            assert len(one.function.invocations) == 1
            assert rig.group.position("t-0").offset == 1

    loop.run(story())


def test_a_lane_that_was_lost_and_went_elsewhere_is_not_shown_as_lost_for_ever() -> None:
    async def story() -> None:
        rig = Rig()
        rig.put("a")
        async with rig.coordinated(), rig.member(lambda _: FAILURE) as one:
            await asyncio.sleep(2.0)
            async with rig.member() as other:
                member = one.source.member
                assert member is not None
                rig.group.dismiss(member, clean=False)
                await asyncio.sleep(30.0)
                assert one.told.of(LaneLost)
                assert (one.lanes, other.lanes) == ({}, {"t-0": "Reading"})

    loop.run(story())


def test_a_member_without_lanes_is_well() -> None:
    async def story() -> None:
        rig = Rig()
        async with rig.coordinated(), rig.member(), rig.member() as idle:
            await asyncio.sleep(1000.0)
            seen = idle.board.mapping("orders")
            assert seen is not None
            assert (seen.state, seen.blame, dict(seen.lanes)) == ("Enabled", None, {})
            assert not idle.told.of(NotMoving)

    loop.run(story())


@pytest.mark.parametrize("silent", ["read", "open"])
def test_a_lane_that_is_ours_and_never_read_is_told_of(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> LogPage:
        await asyncio.Event().wait()
        raise AssertionError

    @asynccontextmanager
    async def unopened(*_: Any) -> AsyncIterator[FakeTopicReader]:
        await asyncio.Event().wait()
        yield FakeTopicReader.__new__(FakeTopicReader)

    async def story() -> None:
        rig = Rig()
        rig.put("a")
        async with rig.coordinated(), rig.member() as one:
            await asyncio.sleep(1000.0)
            told = one.told.of(NotMoving)
            assert len(told) >= 2
            asked = "a read" if silent == "read" else "its opening"
            assert told[0].why.startswith(f"the source has not answered {asked} for ")
            assert one.told.times(NotMoving)[0] < 400.0
            assert one.lanes == {"t-0": "Reading" if silent == "read" else "Opening"}
            one.engine.abort()

    if silent == "read":
        monkeypatch.setattr(FakeTopicReader, "read", never)
    else:
        monkeypatch.setattr(Link, "open", unopened)
    loop.run(story())


def test_a_batch_whose_budget_has_no_room_waits_until_others_are_finished() -> None:
    """Sixty keys fail at once; the commit's text has room for a few, so a few are tried again at a time."""

    async def story() -> None:
        failed: set[bytes] = set()

        def once(call: Any) -> Turn:
            first = call.payload not in failed
            failed.add(call.payload)
            return FAILURE if first else SLOW

        options = LogOptions(batch_size=1, parallelization_factor=100, maximum_retry_attempts=3)
        rig = Rig(options)
        for key in range(60):
            rig.group.put("t-0", f"k{key}")
        async with rig.coordinated(), rig.member(once) as one:
            await asyncio.sleep(200.0)
            assert len(one.function.invocations) == 120
            assert all(call.attempt == 2 for call in one.function.invocations[60:])
            again = one.function.times[60:]
            assert max(sum(t <= other < t + 3.0 for other in again) for t in again) <= 10
            assert rig.group.position("t-0").offset == 60

    with patch.object(log_lane, "ROOM", 400):
        loop.run(story())


def test_what_comes_after_an_outage_of_any_length_is_read_within_seconds() -> None:
    async def story() -> None:
        rig = Rig(partitions=8)
        async with rig.coordinated(), rig.member() as one:
            await asyncio.sleep(5.0)
            rig.rates["read fails"] = 1.0
            await asyncio.sleep(1800.0)
            assert 1.0 < max(told.pause for told in one.told.of(SourceFailed)) <= 5.0
            rig.rates["read fails"] = 0.0
            ids = [id_ for number in range(8) for id_ in rig.put("a", lane=f"t-{number}")]
            await asyncio.sleep(6.0)
            assert sorted(one.function.given) == sorted(ids)

    loop.run(story())
