"""The conformance suite of the group port, on the fake that the simulation drives."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from esm.ports import GroupSource
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.group.bench import GroupBench, GroupRule
from esm.testing.group.fake import SESSION, FakeGroup, FakeMember, Position, shared_out
from esm.testing.group.source import FakeGroupSource
from esm.testing.group.suite import RULES


class FakeBench:
    def __init__(self, group: FakeGroup, faults: Faults) -> None:
        self._group = group
        self._faults = faults

    @property
    def lanes(self) -> Sequence[str]:
        return list(self._group.shards)

    def source(self, *, latest: bool = False) -> GroupSource:
        return FakeGroupSource(self._group, self._faults, latest=latest)

    async def put(self, lane: str, count: int = 1) -> Sequence[str]:
        return [f"{lane}@{self._group.put(lane, 'k', skip=2).position}" for _ in range(count)]

    async def trim(self, lane: str, count: int) -> None:
        self._group.trim(lane, count)

    async def add(self) -> str:
        return self._group.add().name

    async def write_text(self, lane: str, offset: int, text: str) -> None:
        assert not self._group.members
        self._group.positions[lane] = Position(offset, text)

    async def take_for_dead(self, source: GroupSource) -> None:
        assert isinstance(source, FakeGroupSource)
        source.process.stop()
        await asyncio.sleep(SESSION + 2.0)
        source.process.go_on()


class FakeHarness:
    def __init__(self, tasks: asyncio.TaskGroup, *, cooperative: bool) -> None:
        self._tasks = tasks
        self._cooperative = cooperative
        self._faults = Faults(random.Random(0))
        self.coordinating: list[asyncio.Task[None]] = []

    async def group(self, lanes: int = 1) -> GroupBench:
        now = asyncio.get_running_loop().time
        group = FakeGroup(now, self._faults, partitions=lanes, cooperative=self._cooperative)
        self.coordinating.append(self._tasks.create_task(group.coordinate()))
        return FakeBench(group, self._faults)

    def missing(self) -> GroupSource:
        group = FakeGroup(asyncio.get_running_loop().time, self._faults, partitions=0)
        return FakeGroupSource(group, self._faults)


@pytest.mark.parametrize("cooperative", [True, False], ids=["cooperative", "eager"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_fake_keeps_the_contract(rule: GroupRule, *, cooperative: bool) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            harness = FakeHarness(tasks, cooperative=cooperative)
            try:
                await rule(harness)
            finally:
                for task in harness.coordinating:
                    task.cancel()

    loop.run(run())


def test_lanes_are_shared_out_evenly_and_with_few_moves() -> None:
    one, two, three = (FakeMember(name) for name in "abc")
    lanes = [f"t-{n}" for n in range(6)]
    alone = shared_out(lanes, [one], {})
    assert set(alone.values()) == {one}
    both = shared_out(lanes, [one, two], alone)
    assert sorted(map(list(both.values()).count, (one, two))) == [3, 3]
    all_three = shared_out(lanes, [one, two, three], both)
    assert sorted(map(list(all_three.values()).count, (one, two, three))) == [2, 2, 2]
    assert sum(both[lane] is not all_three[lane] for lane in lanes) == 2
    assert shared_out(lanes, [one, two, three], all_three) == all_three
    assert shared_out(lanes, [], all_three) == {}
