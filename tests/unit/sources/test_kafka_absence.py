"""A member that has no partitions is told to be cut off only if it is."""

import asyncio

from esm.errors import Disconnected
from esm.sources.kafka.absence import minding
from esm.testing import loop


class Brokers:
    def __init__(self) -> None:
        self.problem: Disconnected | None = None
        self.asked = 0

    async def ask(self) -> None:
        self.asked += 1
        await asyncio.sleep(5.0)
        if self.problem is not None:
            raise self.problem


class Member:
    def __init__(self) -> None:
        self.has_lanes = False
        self.told: list[Disconnected | None] = []

    def tell_absence(self, problem: Disconnected | None, _: float) -> None:
        self.told.append(problem)


def test_while_nothing_is_ours_it_is_told_whether_the_group_can_be_reached() -> None:
    async def story() -> None:
        brokers, member = Brokers(), Member()
        problem = Disconnected("unreachable", "scripted")
        async with minding(brokers.ask, member):
            await asyncio.sleep(21.0)
            assert member.told == [None]
            brokers.problem = problem
            await asyncio.sleep(20.0)
            assert member.told == [None, problem]
            brokers.problem = None
            await asyncio.sleep(20.0)
            assert member.told == [None, problem, None]

    loop.run(story())


def test_who_has_partitions_asks_nothing_and_who_gets_some_meanwhile_has_nothing_to_tell() -> None:
    async def story() -> None:
        brokers, member = Brokers(), Member()
        brokers.problem = Disconnected("unreachable", "scripted")
        async with minding(brokers.ask, member):
            await asyncio.sleep(16.0)
            assert brokers.asked == 1
            member.has_lanes = True
            await asyncio.sleep(100.0)
            assert brokers.asked == 1
            assert not member.told

    loop.run(story())
