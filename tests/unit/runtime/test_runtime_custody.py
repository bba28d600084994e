"""Custody of records: in by a page, out by one way, and nothing overtakes what is lost or rejected."""

import asyncio
from collections.abc import Collection, Sequence

from runtime_world import Told, now, world

from esm.core.batching import BatchRule
from esm.errors import Disconnected
from esm.model import Outcome, Page, Record, Rejected, Settlement, Terms, Verdict
from esm.runtime.happenings import Deleted, Extended, LetGo, Rejection, Released
from esm.runtime.memory import Memory
from esm.runtime.queue.custody import Custody
from esm.testing import loop

RULE = BatchRule(size=10, room=10**6, window=0.0)
PAIRS = BatchRule(size=2, room=10**6, window=0.0)


class Desk:
    """A reader by script: `lost` are not ours when asked for, `slow` is how long an extension takes."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        self.terms = Terms(visibility=30.0, longest=43_200.0, retention=345_600.0)
        self.settled: list[tuple[str, str]] = []
        self.asked: list[list[str]] = []
        self.lost: set[str] = set()
        self.undeletable: set[str] = set()
        self.slow = 0.0
        self.down = False

    async def read(self, limit: int, wait: float) -> Page:
        raise NotImplementedError

    async def settle(
        self, done: Sequence[Record], failed: Sequence[Record], untried: Sequence[Record]
    ) -> Settlement:
        for what, records in (("done", done), ("failed", failed), ("untried", untried)):
            self.settled += [(what, record.handle) for record in records]
        undeleted = tuple(record for record in done if record.id in self.undeletable)
        return Settlement(len(done) - len(undeleted), undeleted)

    async def extend(self, records: Sequence[Record], seconds: float) -> Collection[Record]:
        self.asked.append([record.id for record in records])
        await asyncio.sleep(self.slow)
        if self.down:
            raise Disconnected("unreachable", "scripted")
        return [record for record in records if record.id in self.lost]


class Case:
    """A custody over a scripted reader."""

    def __init__(self, *, ordered: bool = True) -> None:
        self.desk = Desk(ordered=ordered)
        self.memory = Memory(10**6)
        self.told = Told()
        self.custody = Custody("orders", self.desk, self.memory, world(self.told), 3_600.0)
        self.seq = 0

    def record(self, name: str) -> Record:
        """`a1` is the first record of group a; its receipt is its name."""
        self.seq += 1
        return Record(self.seq, name.strip("'"), name[0], 0.0, now(), b"12345", name)

    async def admit(self, *names: str, rejected: Sequence[str] = ()) -> None:
        records = tuple(self.record(name) for name in names)
        refused = tuple(Rejected(self.record(name), "too large") for name in rejected)
        await self.custody.admit(Page(records, refused))

    @property
    def untried(self) -> list[str]:
        return sorted(receipt for what, receipt in self.desk.settled if what == "untried")

    def nothing_left(self) -> bool:
        held = (len(self.custody), len(self.custody.waiting), self.custody.held_bytes, self.memory.used)
        return held == (0, 0, 0, 0)


def names(records: Sequence[Record]) -> list[str]:
    return [record.handle for record in records]


def test_what_is_settled_leaves_the_memory_too() -> None:
    async def check() -> None:
        case = Case()
        await case.admit("a1", "a2", "b1")
        assert case.memory.used == case.custody.held_bytes > 0
        batch = case.custody.take(RULE)
        await case.custody.settle(
            "x", batch, Verdict(Outcome.PARTIAL, done=(batch[0], batch[2]), failed=(batch[1],))
        )
        assert case.desk.settled == [("done", "a1"), ("done", "b1"), ("failed", "a2")]
        assert case.nothing_left()
        assert [each.records for each in case.told.of(Deleted)] == [2]

    loop.run(check())


def test_d23_giving_back_one_of_a_group_gives_back_everything_gathered_of_it() -> None:
    async def check() -> None:
        case = Case()
        await case.admit("a1", "a2", "a3", "b1")
        batch = case.custody.take(PAIRS)
        assert names(batch) == ["a1", "a2"]
        await case.custody.give_back(batch, "no slot")
        assert case.untried == ["a1", "a2", "a3"]
        assert len(case.custody) == 1

    loop.run(check())


def test_without_order_only_what_is_given_back_leaves() -> None:
    async def check() -> None:
        case = Case(ordered=False)
        await case.admit("a1", "a2", "a3")
        await case.custody.give_back(case.custody.take(PAIRS), "no slot")
        assert case.untried == ["a1", "a2"]
        assert len(case.custody.waiting) == 1

    loop.run(check())


def test_d1_what_is_let_go_is_not_given_back_but_what_waits_behind_it_is() -> None:
    async def check() -> None:
        case = Case()
        await case.admit("a1", "a2", "a3")
        batch = case.custody.take(PAIRS)
        await case.custody.let_go("x", batch)
        assert case.desk.settled == [("untried", "a3")]
        assert case.nothing_left()
        assert [each.records for each in case.told.of(LetGo)] == [2]

    loop.run(check())


def test_what_waits_behind_a_record_that_could_not_be_deleted_is_given_back() -> None:
    async def check() -> None:
        case = Case()
        case.desk.undeletable = {"a1"}
        await case.admit("a1", "a2", "a3")
        batch = case.custody.take(PAIRS)
        await case.custody.settle("x", batch, Verdict(Outcome.SUCCESS, done=tuple(batch)))
        assert case.untried == ["a3"]
        assert case.nothing_left()

    loop.run(check())


def test_what_comes_behind_a_record_that_is_too_large_is_given_back_with_its_group() -> None:
    async def check() -> None:
        case = Case()
        await case.admit("a1", "b1", "a3", rejected=["a2"])
        assert case.untried == ["a1", "a3"]
        assert names(case.custody.take(RULE)) == ["b1"]
        assert [each.record_id for each in case.told.of(Rejection)] == ["a2"]

    loop.run(check())


def test_without_order_a_record_that_is_too_large_disturbs_nobody() -> None:
    async def check() -> None:
        case = Case(ordered=False)
        await case.admit("a1", "a3", rejected=["a2"])
        assert case.untried == []
        assert names(case.custody.take(RULE)) == ["a1", "a3"]

    loop.run(check())


# What is lost while it waits (D24)


def test_d24_a_record_lost_before_its_invoke_leaves_its_batch() -> None:
    async def check() -> None:
        case = Case(ordered=False)
        await case.admit("a1")
        await asyncio.sleep(20.0)
        await case.admit("a2")
        batch = case.custody.take(RULE)
        await asyncio.sleep(15.0)
        assert names(await case.custody.still_ours(batch)) == ["a2"]
        assert case.untried == []
        assert case.custody.ids() == ["a2"]

    loop.run(check())


def test_d24_in_order_it_leaves_with_the_rest_of_its_group() -> None:
    async def check() -> None:
        case = Case()
        case.desk.lost = {"a1"}
        await case.admit("a1", "a2", "b1")
        batch = case.custody.take(RULE)
        await asyncio.sleep(25.0)
        await case.custody.extend()
        assert names(await case.custody.still_ours(batch)) == ["b1"]
        assert case.untried == ["a2"]

    loop.run(check())


def test_d24_what_waits_behind_a_batch_that_was_lost_whole_does_not_overtake_it() -> None:
    """All that was taken of the group has expired; what waits of it was read later and is still ours."""

    async def check() -> None:
        case = Case()
        await case.admit("a1", "a2")
        batch = case.custody.take(PAIRS)
        await asyncio.sleep(20.0)
        await case.admit("a3")
        await asyncio.sleep(12.0)
        assert await case.custody.still_ours(batch) == []
        case.custody.unlock(batch)
        assert case.custody.take(RULE) == []
        assert case.untried == ["a3"]

    loop.run(check())


def test_d24_a_lost_record_that_waits_leaves_the_buffer_and_its_group_follows() -> None:
    async def check() -> None:
        case = Case()
        case.desk.lost = {"a1"}
        await case.admit("a1", "a2", "b1")
        await asyncio.sleep(25.0)
        await case.custody.extend()
        assert names(case.custody.take(RULE)) == ["b1"]
        assert case.untried == ["a2"]
        assert case.custody.ids() == ["b1"]

    loop.run(check())


def test_d24_a_newer_receipt_is_the_one_that_is_sent_and_settled() -> None:
    async def check() -> None:
        case = Case(ordered=False)
        await case.admit("a1")
        batch = case.custody.take(RULE)
        await case.admit("a1'")
        assert case.custody.take(RULE) == []
        ours = await case.custody.still_ours(batch)
        assert names(ours) == ["a1'"]
        await case.custody.settle("x", ours, Verdict(Outcome.SUCCESS, done=tuple(ours)))
        assert case.desk.settled == [("done", "a1'")]
        assert case.nothing_left()

    loop.run(check())


# Heartbeats


def test_a_heartbeat_nobody_answered_is_told_and_repeated_in_a_second() -> None:
    async def check() -> None:
        case = Case()
        case.desk.down = True
        await case.admit("a1")
        assert case.custody.next_extension() == 17.5
        await asyncio.sleep(17.5)
        await case.custody.extend()
        assert case.custody.next_extension() == 1.0
        case.desk.down = False
        await asyncio.sleep(1.0)
        await case.custody.extend()
        assert case.desk.asked == [["a1"], ["a1"]]
        assert case.custody.next_extension() == 17.5
        assert [(each.extended, each.lost, each.failed) for each in case.told.of(Extended)] == [
            (0, 0, 1),
            (1, 0, 0),
        ]

    loop.run(check())


def test_an_extension_counts_from_when_it_was_asked_for_not_from_its_answer() -> None:
    """The queue starts the new timeout when it is asked; a late answer must not make a record look ours."""

    async def check() -> None:
        case = Case(ordered=False)
        case.desk.slow = 10.0
        await case.admit("a1")
        batch = case.custody.take(RULE)
        await asyncio.sleep(17.5)
        await case.custody.extend()
        await asyncio.sleep(29.0 - case.desk.slow)
        assert names(await case.custody.still_ours(batch)) == ["a1"]
        await asyncio.sleep(1.5)
        assert await case.custody.still_ours(batch) == []

    loop.run(check())


def test_nothing_due_asks_nobody() -> None:
    async def check() -> None:
        case = Case()
        assert case.custody.next_extension() is None
        await case.admit("a1")
        await case.custody.extend()
        assert case.desk.asked == []

    loop.run(check())


def test_how_long_a_batch_may_still_be_held() -> None:
    async def check() -> None:
        case = Case()
        await case.admit("a1")
        batch = case.custody.take(RULE)
        batch = [
            Record(each.seq, each.id, each.key, 1_700_000_000.0, each.read, each.event, "r") for each in batch
        ]
        assert case.custody.time_left(batch) == 3_600.0
        await asyncio.sleep(4_000.0)
        assert case.custody.time_left(batch) == 0.0

    loop.run(check())


def test_giving_back_nothing_tells_and_asks_nobody() -> None:
    async def check() -> None:
        case = Case()
        await case.custody.give_back([], "stopping")
        assert (case.desk.settled, case.told.of(Released)) == ([], [])

    loop.run(check())
