"""Positions of a group as rows: where partitions begin, what is written beside them, and who may write."""

from collections.abc import Mapping

import pytest
from confluent_kafka import TopicPartition

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span
from esm.clients.kafka.asking import END, OLDEST, Committed
from esm.core.log.packing import ROOM, pack
from esm.errors import Disconnected, LostLease, StoreFailed
from esm.sources.begin import Begin, StartingPosition
from esm.sources.kafka import rows as rows_module
from esm.sources.kafka.beginnings import Beginnings, Past
from esm.sources.kafka.commits import TooMuchText, Unanswered
from esm.sources.kafka.rows import GroupRows
from esm.sources.kafka.start import MARK_ROOM, Origin

NOW = 1_700_000_000.0


class Group:
    """What the brokers would say; each partition has offsets 10 to 99, written a second apart since epoch 0."""

    group = "g"
    topic = "t"

    def __init__(self, committed: Mapping[int, Committed] | None = None, count: int = 4) -> None:
        self.known = dict(committed or {})
        self.count = count
        self.asked = 0
        self.refusals: list[Exception] = []
        self.remarks: list[str] = []

    async def committed(self) -> Mapping[int, Committed]:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return dict(self.known)

    async def partitions(self) -> int:
        return self.count

    async def offsets(self, wanted: Mapping[int, int], /) -> Mapping[int, int]:
        return {number: self._offset(moment) for number, moment in wanted.items()}

    def _offset(self, moment: int) -> int:
        if moment < 0:
            return {OLDEST: 10, END: 100}[moment]
        found = max(10, moment // 1000)
        return found if found < 100 else -1

    async def commit(self, place: TopicPartition) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.known[place.partition] = Committed(place.offset, place.metadata or "")

    def rows(
        self, position: str = "TRIM_HORIZON", time: float | None = None, past: Past | None = None
    ) -> GroupRows:
        begin = Begin(StartingPosition(position), time)
        beginnings = Beginnings(
            self, begin, Past() if past is None else past, remark=self.remarks.append, wall=lambda: NOW
        )
        rows = GroupRows(beginnings, self.commit)
        rows.gained([f"t-{number}" for number in range(self.count)])
        return rows


async def found_in(rows: GroupRows) -> dict[str, Checkpoint | None]:
    return {row.lane: row.checkpoint for row in await rows.view("scope")}


async def take(rows: GroupRows, lane: str) -> LaneRow:
    (old,) = [row for row in await rows.view("scope") if row.lane == lane]
    assert old.checkpoint is not None
    new = LaneRow("scope", lane, "me", old.epoch + 1, 0, None, Checkpoint(old.checkpoint.at, clean=False))
    assert await rows.swap(old, new)
    return new


@pytest.mark.parametrize(
    ("position", "time", "at"),
    [
        ("TRIM_HORIZON", None, 9),
        ("LATEST", None, 99),
        ("AT_TIMESTAMP", 50.0, 49),
        ("AT_TIMESTAMP", 500.0, 99),
    ],
)
async def test_a_first_start(position: str, time: float | None, at: int) -> None:
    rows = Group().rows(position, time)
    assert await found_in(rows) == {f"t-{number}": Checkpoint(at) for number in range(4)}


async def test_the_first_write_says_when_the_mapping_began() -> None:
    group = Group()
    await take(group.rows("LATEST"), "t-1")
    assert group.known[1].offset == 100
    assert group.known[1].metadata.startswith(f"{int(NOW * 1000)}/4 esm1 ")


async def test_partitions_without_a_position_in_a_group_that_has_others() -> None:
    """D8: one that was there begins when the mapping did, one that was added at its beginning."""
    began = Origin(50_000, partitions=2).beside("")
    group = Group({0: Committed(70, began)}, count=3)
    assert await found_in(group.rows("LATEST")) == {
        "t-0": Checkpoint(69),
        "t-1": Checkpoint(49),
        "t-2": Checkpoint(9),
    }


async def test_without_a_time_of_the_beginning_it_is_the_oldest() -> None:
    group = Group({0: Committed(70)}, count=2)
    assert (await found_in(group.rows("LATEST")))["t-1"] == Checkpoint(9)
    assert len(group.remarks) == 1


async def test_a_row_comes_back_as_it_was_written() -> None:
    group = Group()
    rows = group.rows("LATEST")
    row = await take(rows, "t-0")
    checkpoint = Checkpoint(120, spans=(Span(125, 130),))
    assert await rows.swap(row, LaneRow("scope", "t-0", "me", 1, 1, None, checkpoint))
    assert (await found_in(group.rows("LATEST")))["t-0"] == checkpoint
    assert not group.remarks


async def test_a_full_text_leaves_room_for_when_it_began() -> None:
    group = Group()
    rows = group.rows("LATEST")
    row = await take(rows, "t-0")
    spans = tuple(Span(number, number) for number in range(200, 200_000, 3))
    assert await rows.swap(row, LaneRow("scope", "t-0", "o" * 32, 1, 1, None, Checkpoint(120, spans=spans)))
    assert ROOM - 20 < len(group.known[0].metadata) <= ROOM
    assert len(Origin(10**15 - 1, 10**9 - 1).beside("")) <= MARK_ROOM


async def test_the_group_is_asked_once_for_an_assignment() -> None:
    group = Group()
    rows = group.rows()
    for _ in range(3):
        await rows.view("scope")
    assert group.asked == 1
    rows.left(["t-1"])
    rows.gained(["t-1"])
    group.known[1] = Committed(77)
    assert (await found_in(rows))["t-1"] == Checkpoint(76)


async def test_a_lane_that_left_is_not_written() -> None:
    rows = Group().rows()
    row = await take(rows, "t-0")
    rows.left(["t-0"])
    with pytest.raises(LostLease):
        await rows.swap(row, row)


async def test_a_lane_that_left_and_came_back_is_not_written_by_who_had_it() -> None:
    rows = Group().rows()
    row = await take(rows, "t-0")
    rows.left(["t-0"])
    rows.gained(["t-0"])
    assert not await rows.swap(row, row)


async def test_what_was_asked_before_a_lane_left_says_nothing_once_it_is_back() -> None:
    """The brokers take their time, and somebody else has it meanwhile."""
    group = Group({0: Committed(20)}, count=1)
    rows, committed = group.rows(), group.committed

    async def slowly() -> Mapping[int, Committed]:
        found = await committed()
        if group.asked == 1:
            rows.left(["t-0"])
            group.known[0] = Committed(60)
            rows.gained(["t-0"])
        return found

    group.committed = slowly  # type: ignore[method-assign]
    assert await found_in(rows) == {"t-0": Checkpoint(59)}


async def test_a_lane_whose_row_is_not_known_does_not_begin_at_the_first_offset() -> None:
    group = Group({0: Committed(20)}, count=1)
    assert not await group.rows().swap(None, LaneRow("scope", "t-0", checkpoint=Checkpoint()))
    assert group.known == {0: Committed(20)}


@pytest.mark.parametrize("how", ["away and back", "made anew"])
async def test_a_write_that_ends_after_a_lane_began_anew_is_not_what_it_begins_with(how: str) -> None:
    group = Group({0: Committed(20)}, count=1)
    rows, commit = group.rows(), group.commit
    row = await take(rows, "t-0")

    async def slowly(place: TopicPartition) -> None:
        await commit(place)
        if how == "made anew":
            rows.begin_anew("t-0", 10)
        else:
            rows.left(["t-0"])
            group.known[0] = Committed(60)
            rows.gained(["t-0"])

    rows._commit = slowly
    assert await rows.swap(row, row)
    assert await found_in(rows) == {"t-0": Checkpoint(9 if how == "made anew" else 59)}


async def test_a_commit_is_tried_again_while_the_lane_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_PAUSE", 0.0)
    group = Group()
    rows = group.rows()
    row = await take(rows, "t-0")
    group.refusals = [LostLease("generation"), StoreFailed("rebalance")]
    assert await rows.swap(row, row)
    group.refusals = [StoreFailed("away")] * 5
    with pytest.raises(StoreFailed):
        await rows.swap(row, row)


async def test_a_commit_without_an_answer_is_a_failure_at_once() -> None:
    """More tries would take longer than the group waits for us, and the lane would go on meanwhile."""
    group = Group()
    rows = group.rows()
    rows.gained(["t-0"])
    row = await take(rows, "t-0")
    group.refusals = [Unanswered("the coordinator did not answer")]
    with pytest.raises(Unanswered):
        await rows.swap(row, row)


async def test_what_displaced_a_position_counts_until_it_is_committed_and_not_longer() -> None:
    group = Group({0: Committed(500)}, count=1)
    rows = group.rows()
    rows.begin_anew("t-0", 10)
    await take(rows, "t-0")
    rows.left(["t-0"])
    group.known[0] = Committed(60)
    rows.gained(["t-0"])
    assert await found_in(rows) == {"t-0": Checkpoint(59)}


async def test_latest_is_resolved_once_even_if_nothing_could_be_committed_then() -> None:
    """What was written while the brokers took no commit is not passed over."""
    group = Group(count=2)
    moments = iter([50.0, 90.0])
    beginnings = Beginnings(
        group, Begin(StartingPosition.LATEST), Past(), remark=group.remarks.append, wall=lambda: next(moments)
    )
    rows = GroupRows(beginnings, group.commit)
    rows.gained(["t-0"])
    assert await found_in(rows) == {"t-0": Checkpoint(99)}
    rows.left(["t-0"])
    rows.gained(["t-0", "t-1"])
    assert await found_in(rows) == {"t-0": Checkpoint(49), "t-1": Checkpoint(49)}


async def test_a_topic_made_again_with_more_partitions_is_no_first_start() -> None:
    """Of a group whose positions are not from here, so that nothing is known of its beginning."""
    group = Group({0: Committed(20)}, count=1)
    rows = group.rows("LATEST")
    await take(rows, "t-0")
    group.known.clear()
    rows.left(["t-0"])
    rows.gained(["t-0", "t-1"])
    assert await found_in(rows) == {"t-0": Checkpoint(9), "t-1": Checkpoint(9)}


class Sparing(Group):
    """Its brokers keep only so many characters beside an offset."""

    most = 600

    async def commit(self, place: TopicPartition) -> None:
        if len(place.metadata or "") > self.most:
            raise TooMuchText("Broker: Offset metadata string too large")
        await super().commit(place)


async def test_brokers_that_keep_less_text_get_fewer_spans() -> None:
    """The highest are left out, which costs duplicates; the position goes on."""
    group = Sparing(count=1)
    rows = group.rows()
    row = await take(rows, "t-0")
    spans = tuple(Span(first, first) for first in range(20, 3000, 2))
    assert await rows.swap(row, LaneRow("scope", "t-0", "me", 1, 1, None, Checkpoint(15, spans=spans)))
    (found,) = (await found_in(group.rows())).values()
    assert found is not None
    assert (found.at, found.spans) == (15, spans[: len(found.spans)])
    assert 100 < len(found.spans) < len(spans)


async def test_budgets_are_not_left_out_where_brokers_keep_less_text() -> None:
    group = Sparing(count=1)
    rows = group.rows()
    row = await take(rows, "t-0")
    failing = Checkpoint(15, spans=tuple(Span(n, n, 0) for n in range(20, 2000, 2)), parts=(Budget(2, NOW),))
    with pytest.raises(StoreFailed, match=r"set offset\.metadata\.max\.bytes of the brokers to 4096"):
        await rows.swap(row, LaneRow("scope", "t-0", "me", 1, 1, None, failing))
    assert await rows.swap(row, LaneRow("scope", "t-0", "me", 1, 1, None, Checkpoint(15))), "what fits goes on"


async def test_a_group_that_cannot_be_asked() -> None:
    group = Group()
    group.refusals = [Disconnected("unreachable", "nobody there")]
    with pytest.raises(StoreFailed):
        await group.rows().view("scope")


async def test_a_topic_that_is_made_again_begins_at_its_oldest() -> None:
    """The brokers forgot the positions with it; the process knows that there were some."""
    group, past = Group(), Past()
    await take(group.rows("LATEST", past=past), "t-0")
    group.known.clear()
    rows = group.rows("LATEST", past=past)
    assert (await found_in(rows))["t-0"] == Checkpoint(9)
    assert rows.made_anew == {"t-0"}


async def test_a_partition_that_is_made_again_displaces_its_position() -> None:
    group = Group({0: Committed(5000)})
    rows = group.rows()
    rows.begin_anew("t-0", 10)
    assert (await found_in(rows))["t-0"] == Checkpoint(9)
    await take(rows, "t-0")
    assert group.known[0].offset == 10


async def test_a_newer_version_is_not_overwritten() -> None:
    text = pack(LaneRow("scope", "t-0", checkpoint=Checkpoint(69))).replace("esm1", "esm2")
    with pytest.raises(StoreFailed, match="newer version"):
        await Group({0: Committed(70, text)}, count=1).rows().view("scope")
