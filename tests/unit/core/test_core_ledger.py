"""The ledger, its checkpoints and the way back: the worked example by hand, and any history against an oracle."""

import json
from typing import Any
from unittest.mock import patch

import pytest
from core_log_records import PLENTY, at, page, places, positions, rule
from core_records import PATIENT
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as step
from msgspec import structs

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span
from esm.core.log import checkpoints
from esm.core.log.judging import LogVerdict, Reports, RetryRule, judge_log
from esm.core.log.ledger import MOST_OWNERS, MOST_PAST_MARK, LaneRule, Ledger
from esm.core.log.packing import HEADROOM, most_records, pack, part_size, unpack
from esm.core.log.parts import Owner, Part
from esm.core.partial import offset_id
from esm.model import Errored, LogPage, Outcome, Record, Rejected, Returned

FAILED = Errored(Outcome.FUNCTION_ERROR, "boom")
PAGE = ("10a", "20b", "30a", "40b", "50c", "60a", "70b", "80c")


def opened(checkpoint: Checkpoint | None = None, **options: Any) -> Ledger:
    return Ledger(checkpoint or Checkpoint(), rule(**options))


def fail(ledger: Ledger, owner: Owner, retry: RetryRule) -> LogVerdict:
    """Its first part is sent and fails."""
    verdict = judge_log(owner.first, FAILED, retry, 100.0)
    owner.known = True
    owner.becomes(verdict.pending)
    return verdict


def finish(ledger: Ledger, owner: Owner) -> None:
    ledger.finished(owner, owner.first.records)


# The worked example


def test_batches_of_interleaved_keys_become_spans_that_swallow_nobody() -> None:
    retry = RetryRule(2)
    ledger = opened(size=3, factor=2, retry=retry)
    ledger.admit(page(*PAGE, upto=85), 0.0)
    one, two = ledger.take(2), ledger.take(1)
    assert (places(one.first.records), places(two.first.records)) == (["10a", "30a", "60a"], ["20b", "40b", "70b"])
    finish(ledger, two)
    assert places(ledger.take(1).first.records) == ["50c", "80c"]
    fail(ledger, one, retry)
    one.becomes([one.first.sent(in_flight=True)])
    checkpoint = ledger.checkpoint(clean=False)
    assert checkpoint == Checkpoint(
        at=None,
        clean=False,
        spans=(
            Span(10, 10, 0),
            Span(20, 20),
            Span(30, 30, 0),
            Span(40, 40),
            Span(60, 60, 0),
            Span(70, 70),
        ),
        parts=(Budget(1, 100.0, in_flight=True),),
    )

    restored = opened(checkpoint, size=3, factor=2, retry=retry)
    (again,) = restored.admit(page(*PAGE, upto=85), 200.0).owners
    assert (places(again.first.records), again.first.budget) == (["10a", "30a", "60a"], Budget(2, 100.0, cuts=1))
    fresh = restored.take(2)
    assert places(fresh.first.records) == ["50c", "80c"]
    finish(restored, again)
    assert restored.mark == 40
    finish(restored, fresh)
    assert (restored.mark, restored.past_mark, restored.held_bytes) == (85, 0, 0)


def test_lost_spans_cost_duplicates_and_never_order() -> None:
    """Without room for them 20b and 70b are read again as fresh; 40b too, behind 20b."""
    retry = RetryRule(2)
    ledger = opened(size=3, factor=2, retry=retry)
    ledger.admit(page(*PAGE), 0.0)
    one, two = ledger.take(2), ledger.take(1)
    finish(ledger, two)
    fail(ledger, one, retry)
    with patch.object(checkpoints, "MOST_SPANS", 0):
        checkpoint = ledger.checkpoint(clean=False)
    assert [span.part for span in checkpoint.spans] == [0, 0, 0]
    restored = opened(checkpoint, size=10, factor=2)
    restored.admit(page(*PAGE), 0.0)
    assert places(restored.take(1).first.records) == ["20b", "40b", "50c", "70b", "80c"]


def test_what_lies_below_a_part_of_its_key_and_in_no_part_is_finished() -> None:
    checkpoint = Checkpoint(0, spans=(Span(10, 10, 0), Span(70, 70, 1)), parts=(Budget(1, 0.0), Budget(1, 0.0)))
    ledger = opened(checkpoint, size=10)
    owners = ledger.admit(page(*PAGE), 0.0).owners
    assert [places(owner.first.records) for owner in owners] == [["10a"], ["70b"]]
    assert places(ledger.take(1).first.records) == ["50c", "80c"]
    settled = [span for span in ledger.checkpoint(clean=False).spans if span.part is None]
    assert settled == [Span(20, 20), Span(40, 40)]


def test_highest_spans_are_lost_first_and_budgets_never() -> None:
    with patch.object(checkpoints, "MOST_SPANS", 3):
        built = checkpoints.build(0, [(30, 30), (50, 60)], [part_of(20), part_of(40)], clean=True)
    assert built.spans == (Span(20, 20, 0), Span(30, 30), Span(40, 40, 1))
    assert len(built.parts) == 2


def part_of(position: int) -> Part:
    return Part((at(position, position),), Budget(1, 0.0))


# Restoring


def test_nothing_is_handed_out_before_all_that_failed_was_read_again() -> None:
    checkpoint = Checkpoint(0, spans=(Span(30, 30, 0),), parts=(Budget(1, 0.0),))
    ledger = opened(checkpoint)
    assert not ledger.admit(page("10a", "20b"), 0.0).owners
    assert (ledger.is_restoring, ledger.may_hand_out, ledger.buffer.ready) == (True, False, 0)
    assert ledger.checkpoint(clean=True) == checkpoint
    (owner,) = ledger.admit(page("30c", first=3), 0.0).owners
    assert places(owner.first.records) == ["30c"]
    assert ledger.buffer.ready == 2


def test_a_lane_that_was_stopped_while_it_was_restoring_is_as_unclean_as_before() -> None:
    checkpoint = Checkpoint(0, clean=False, spans=(Span(30, 30, 0),), parts=(Budget(1, 0.0, in_flight=True),))
    assert opened(checkpoint).checkpoint(clean=True) == checkpoint


def test_settled_spans_that_were_not_read_yet_are_not_forgotten() -> None:
    ledger = opened(Checkpoint(0, spans=(Span(20, 20), Span(40, 60))))
    ledger.admit(page("10a", "20b", "30a", "40c", upto=50), 0.0)
    assert ledger.checkpoint(clean=False).spans == (Span(20, 20), Span(40, 40), Span(51, 60))


def test_parts_whose_records_were_trimmed_are_gone() -> None:
    ledger = opened(Checkpoint(0, spans=(Span(10, 20, 0),), parts=(Budget(1, 0.0),)))
    assert ledger.admit(page("30a"), 0.0).owners == []
    assert places(ledger.take(1).first.records) == ["30a"]


def test_the_end_of_a_lane_ends_the_restoration() -> None:
    ledger = opened(Checkpoint(0, spans=(Span(10, 20, 0),), parts=(Budget(1, 0.0),)))
    ledger.admit(LogPage(ended=True), 0.0)
    assert (ledger.is_restoring, ledger.is_finished) == (False, True)
    assert ledger.checkpoint(clean=True) == Checkpoint(0, ended=True)


def test_parts_come_back_as_they_were_whatever_the_batch_size_is_now() -> None:
    ledger = opened(Checkpoint(0, spans=(Span(10, 30, 0),), parts=(Budget(1, 0.0),)), size=1)
    (owner,) = ledger.admit(page("10a", "20b", "30a"), 0.0).owners
    assert places(owner.first.records) == ["10a", "20b", "30a"]


def test_with_factor_one_all_that_failed_has_one_owner() -> None:
    spans = (Span(10, 10, 0), Span(20, 20, 1))
    ledger = opened(Checkpoint(0, spans=spans, parts=(Budget(1, 0.0), Budget())), factor=1)
    (owner,) = ledger.admit(page("10a", "20b", "30c"), 0.0).owners
    assert positions(owner.parts) == [[10], [20]]
    assert (ledger.buffer.ready, len(ledger.buffer)) == (0, 1)


def test_what_was_failing_stays_written_down_after_a_restart() -> None:
    """From its first call on, because one of them may be what kills us."""
    checkpoint = Checkpoint(5, clean=False, spans=(Span(10, 10, 0),), parts=(Budget(1, 7.0),))
    ledger = opened(checkpoint)
    (owner,) = ledger.admit(page("10a", "20b"), 200.0).owners
    assert (owner.known, ledger.checkpoint(clean=False)) == (True, checkpoint)
    assert not ledger.take(1).known


def test_a_crash_is_dated_by_when_it_is_noticed() -> None:
    checkpoint = Checkpoint(5, spans=(Span(10, 10, 0),), parts=(Budget(in_flight=True),))
    (owner,) = opened(checkpoint).admit(page("10a"), 200.0).owners
    assert owner.first.budget == Budget(1, 200.0, cuts=1)


def test_a_record_too_large_may_come_with_the_last_one_of_a_part() -> None:
    ledger = opened(Checkpoint(5, spans=(Span(10, 10, 0),), parts=(Budget(1, 7.0),)))
    owners = ledger.admit(LogPage((at(1, 10),), (Rejected(at(2, 20), "7 MB"),)), 0.0).owners
    assert [(places(owner.first.records), owner.first.too_large) for owner in owners] == [
        (["20a"], "7 MB"),
        (["10a"], ""),
    ]
    assert set(owners) == set(ledger.owners)


@pytest.mark.parametrize("clean", [True, False])
def test_a_checkpoint_says_whether_the_lane_was_closed(clean: bool) -> None:  # noqa: FBT001
    restoring = opened(Checkpoint(5, spans=(Span(10, 10, 0),), parts=(Budget(1, 7.0),)))
    working = opened(Checkpoint(5))
    over = opened(Checkpoint(5))
    over.admit(LogPage(ended=True), 0.0)
    assert [ledger.checkpoint(clean=clean).clean for ledger in (restoring, working, over)] == [clean] * 3


def test_a_checkpoint_has_the_mark_below_what_is_open() -> None:
    ledger = opened(Checkpoint(5), size=1)
    ledger.admit(page("10a", "20b", "30c"), 0.0)
    first = ledger.take(1)
    finish(ledger, first)
    assert ledger.checkpoint(clean=True) == Checkpoint(10)


# What is held


def test_what_is_held_counts_twice_its_bytes_until_it_is_finished() -> None:
    ledger = opened(size=1)
    records, large = (at(1, 10), at(3, 30)), at(2, 20)
    size = 2 * len(large.event)
    owners = ledger.admit(LogPage(records, (Rejected(large, "7 MB"),)), 0.0).owners
    assert ledger.held_bytes == 3 * size
    finish(ledger, owners[0])
    assert ledger.held_bytes == 2 * size
    finish(ledger, ledger.take(1))
    assert ledger.held_bytes == size
    ledger.admit(LogPage(rejected=(Rejected(at(4, 40), "7 MB"),)), 0.0)
    assert ledger.held_bytes == 2 * size


def test_what_turns_out_to_be_finished_while_restoring_is_not_held() -> None:
    ledger = opened(Checkpoint(5, spans=(Span(30, 30, 0),), parts=(Budget(1, 7.0),)))
    size = 2 * len(at(1, 10).event)
    ledger.admit(page("10a", "20b"), 0.0)
    assert ledger.held_bytes == 2 * size
    ledger.admit(page("30a", "40c", first=3), 0.0)
    assert ledger.held_bytes == 3 * size  # 10a was finished before
    assert len(ledger.buffer) == 2


# What is not delivered


def test_filtered_records_are_finished_at_once() -> None:
    ledger = Ledger(Checkpoint(), rule(), lambda record: record.key != "b")
    assert ledger.admit(page("10b", "20b"), 0.0).filtered == 2
    assert (ledger.mark, ledger.held_bytes) == (20, 0)


def test_too_large_records_belong_to_an_owner_that_is_in_nobodys_way() -> None:
    ledger = opened()
    owners = ledger.admit(LogPage((at(1, 10), at(3, 30)), (Rejected(at(2, 20), "7 MB"),)), 0.0).owners
    assert [(places(owner.first.records), owner.first.too_large) for owner in owners] == [(["20a"], "7 MB")]
    finish(ledger, ledger.take(1))
    assert ledger.mark == 10
    finish(ledger, owners[0])
    assert ledger.mark == 30


def test_what_nobody_wants_may_be_too_large() -> None:
    ledger = Ledger(Checkpoint(), rule(), lambda record: record.position != 10)
    assert ledger.admit(LogPage(rejected=(Rejected(at(1, 10), "7 MB"),)), 0.0).owners == []
    assert ledger.mark == 10


def test_a_lane_with_too_much_unfinished_reads_no_more() -> None:
    ledger = opened(size=MOST_PAST_MARK)
    ledger.admit(LogPage(tuple(at(seq, seq) for seq in range(1, MOST_PAST_MARK + 1))), 0.0)
    assert (ledger.is_crowded, ledger.may_hand_out) == (True, True)
    assert ledger.oldest is not None
    assert ledger.oldest.seq == 1


def test_too_many_owners_are_given_nothing_more() -> None:
    ledger = opened(size=1)
    ledger.admit(LogPage(tuple(at(seq, seq, f"k{seq}") for seq in range(1, MOST_OWNERS + 2))), 0.0)
    for _ in range(MOST_OWNERS):
        assert ledger.may_hand_out
        ledger.take(1)
    assert not ledger.may_hand_out


# Where there is little room

ONE_PLACE = HEADROOM + part_size([(90, 90)], 0)


def cramped(checkpoint: Checkpoint = Checkpoint(0), *, room: int = ONE_PLACE, **given: Any) -> Ledger:  # noqa: B008
    return Ledger(checkpoint, structs.replace(rule(retry=RetryRule(2), **given), room=room))


def test_who_finds_no_place_waits_until_the_one_before_is_finished() -> None:
    ledger = cramped(size=1, factor=2)
    ledger.admit(page("10a", "20b"), 0.0)
    one, two = ledger.take(2), ledger.take(1)
    assert (ledger.has_place(two), two.first.cover) == (False, ())
    fail(ledger, two, RetryRule(2))
    fail(ledger, one, RetryRule(2))
    assert ledger.checkpoint(clean=False).parts == (Budget(1, 100.0),)
    assert (ledger.has_place(one), ledger.has_place(two)) == (True, False)
    finish(ledger, one)
    assert ledger.has_place(two)
    assert ledger.checkpoint(clean=False).spans == (Span(20, 20, 0),)


def test_without_a_limit_of_retries_nobody_waits() -> None:
    endless = LaneRule(rule(1).batch, 2, RetryRule(), ONE_PLACE)
    ledger = Ledger(Checkpoint(0), endless)
    ledger.admit(page("10a", "20b"), 0.0)
    for owner in (ledger.take(2), ledger.take(1)):
        fail(ledger, owner, RetryRule())
        assert ledger.has_place(owner)
    assert len(ledger.checkpoint(clean=False).parts) == 1


@pytest.mark.parametrize(("upto", "extent"), [(2000, 1024), (2024, 2048), (1100, 128)])
def test_a_batch_is_as_large_as_can_be_written_down_so_far_above_the_mark(upto: int, extent: int) -> None:
    ledger = cramped(Checkpoint(1000), room=300, size=200, factor=2)
    ledger.admit(page(*(f"{1001 + number}{chr(97 + number % 26)}" for number in range(90)), upto=upto), 0.0)
    assert len(ledger.take(1).first.records) == most_records(extent, 300) < 90


def test_what_came_back_keeps_the_place_it_had() -> None:
    ledger = cramped(Checkpoint(0, spans=(Span(90, 90, 0),), parts=(Budget(2, 5.0),)), size=1, factor=2)
    (back,) = ledger.admit(page("10a", "20b", "90c"), 0.0).owners
    older = ledger.take(1)
    fail(ledger, older, RetryRule(2))
    assert ledger.checkpoint(clean=False).parts == (Budget(2, 5.0),)
    assert (ledger.has_place(back), ledger.has_place(older)) == (True, False)


def test_what_came_back_as_something_that_never_failed_has_no_place_to_keep() -> None:
    ledger = cramped(Checkpoint(0, spans=(Span(10, 10, 0),), parts=(Budget(),)), size=1, factor=2)
    (back,) = ledger.admit(page("10a", "20b"), 0.0).owners
    assert (back.first.cover, back.known) == ((), True)
    other = ledger.take(1)
    fail(ledger, other, RetryRule(2))
    assert ledger.has_place(other)


def test_a_place_stays_as_it_is_while_records_expire_and_settled_spans_make_way_for_it() -> None:
    ledger = cramped(room=4096, size=9, factor=2)
    ledger.admit(page("10a", "20a", "30a", "40a", "50b", "60a", upto=65), 0.0)
    one = ledger.take(2)
    fail(ledger, one, RetryRule(2))
    assert ledger.checkpoint(clean=False).spans == (Span(10, 40, 0), Span(60, 60, 0))
    finish(ledger, ledger.take(1))
    ledger.finished(one, [one.first.records[1], one.first.records[3]])
    assert ledger.checkpoint(clean=False).spans == (Span(10, 40, 0), Span(41, 50), Span(60, 60, 0))
    ledger.finished(one, [one.first.records[0]])
    assert (ledger.mark, ledger.checkpoint(clean=False).spans) == (
        20, (Span(30, 40, 0), Span(41, 50), Span(60, 60, 0)),
    )  # fmt: skip
    ledger.finished(one, [one.first.records[1]])
    assert ledger.checkpoint(clean=False).spans == (Span(30, 30, 0), Span(40, 60))


@pytest.mark.parametrize(("factor", "room", "most"), [(2, 400, 71), (1, 400, 1000), (2, None, 1000)])
def test_a_batch_of_several_keys_is_no_larger_than_what_can_be_written(
    factor: int, room: int | None, most: int
) -> None:
    ledger = Ledger(Checkpoint(0), LaneRule(rule(1000).batch, factor, RetryRule(2), room))
    ledger.admit(LogPage(tuple(at(n, n, f"k{n}") for n in range(1, 2001))), 0.0)
    assert len(ledger.take(1).first.records) == most


def test_settled_runs_make_way_for_what_is_covered() -> None:
    settled = [(1, 4), (6, 9), (12, 30), (33, 40)]
    part = structs.replace(
        part_of(20), records=(at(1, 3), at(9, 35)), cover=((3, 7), (15, 16), (20, 22), (35, 35))
    )
    built = checkpoints.build(0, settled, [part], clean=True)
    assert [(span.first, span.last) for span in built.spans if span.part is None] == [
        (1, 2), (8, 9), (12, 14), (17, 19), (23, 30), (33, 34), (36, 40),
    ]  # fmt: skip
    assert [(span.first, span.last) for span in built.spans if span.part == 0] == list(part.cover)


# Any history


class LedgerMachine(RuleBasedStateMachine):
    """Reads, batches, successes, failures, commits and crashes in any order; an oracle is asked at every one.

    A crash forgets all but the last commit. Nothing may be lost, nothing may overtake, no commit may claim what is
    not finished, and what the function saw last of a key is the newest it saw.
    """

    @initialize(
        factor=st.sampled_from([1, 2, 10]),
        size=st.integers(1, 6),
        bisect=st.booleans(),
        attempts=st.sampled_from([None, 0, 2]),
        spans=st.sampled_from([0, 2, PLENTY]),
        reports=st.sampled_from([Reports.LOWEST, Reports.LISTED]),
        room=st.sampled_from([None, ONE_PLACE, ONE_PLACE + 40, 4096]),
    )
    def begin(  # noqa: PLR0913, PLR0917 - as many as there are choices
        self,
        factor: int,
        size: int,
        bisect: bool,  # noqa: FBT001
        attempts: int | None,
        spans: int,
        reports: Reports,
        room: int | None,
    ) -> None:
        self.retry = RetryRule(attempts, bisect=bisect, reports=reports)
        self.factor, self.size, self.spans, self.room = factor, size, spans, room
        self.one_line = factor == 1
        self.log: list[tuple[int, str]] = []
        self.finished: set[int] = set()
        self.newest: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.durable = Checkpoint() if room is None else Checkpoint(0)
        self.placed: set[tuple[int, ...]] = set()
        self._open()

    def _open(self) -> None:
        self.ledger = Ledger(
            self.durable, structs.replace(rule(self.size, self.factor, self.retry), room=self.room)
        )
        self.next = sum(position <= (self.durable.at or 0) for position, _ in self.log)
        self.seq = 0
        self.owners: list[Owner] = []

    @step(keys=st.text("abcd", min_size=1, max_size=6))
    def produce(self, keys: str) -> None:
        for key in keys:
            self.log.append((10 * (len(self.log) + 1), key))

    @step(limit=st.integers(1, 8), beyond=st.integers(0, 5))
    def read(self, limit: int, beyond: int) -> None:
        records = []
        for position, key in self.log[self.next : self.next + limit]:
            self.seq += 1
            id_ = offset_id("t-0", position)
            records.append(structs.replace(at(self.seq, position, key), id=id_))
        self.next += len(records)
        upto = records[-1].position + beyond if records and beyond else None
        self.owners += self.ledger.admit(LogPage(tuple(records), upto=upto), 0.0).owners

    @precondition(lambda self: self.ledger.may_hand_out and self.ledger.buffer.ready)
    @step(free=st.integers(1, 10))
    def take(self, free: int) -> None:
        self.owners.append(self.ledger.take(free))

    def _sent(self, data: st.DataObject) -> Owner:
        """An owner's first part reaches the function."""
        owner = data.draw(st.sampled_from(self.owners))
        self._must_be_in_order(owner.first.records)
        return owner

    @precondition(lambda self: self.owners)
    @step(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        owner = self._sent(data)
        self._seen(owner.first.records)
        self._leave(owner, owner.first.records)

    @precondition(lambda self: self.owners)
    @step(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        owner = self._sent(data)
        self._judge(owner, data.draw(st.lists(st.sampled_from(owner.first.records), unique=True)))

    @precondition(lambda self: self.owners)
    @step(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """Some of it is too old, wherever it stands, and given up alone."""
        owner = data.draw(st.sampled_from(self.owners))
        old = data.draw(st.lists(st.sampled_from(owner.first.records), unique=True, min_size=1))
        owner.known = True
        self.commit()
        drop = tuple(record for record in owner.first.records if record in old)
        self._dropped(drop)
        self._leave(owner, drop)

    def _judge(self, owner: Owner, reported: list[Record]) -> None:
        names: list[Any] = [record.id for record in reported]
        if self.retry.reports is Reports.LISTED:
            names = [{"partition": "t-0", "offset": record.position} for record in reported]
        answer = json.dumps({"batchItemFailures": [{"itemIdentifier": name} for name in names]})
        reply = Returned(answer.encode()) if reported else FAILED
        verdict = judge_log(owner.first, reply, self.retry, 0.0)
        self._seen(verdict.done)
        if verdict.drop:
            self._dropped(verdict.drop.records)
            self._leave(owner, verdict.drop.records)
            return
        if verdict.done:
            self.ledger.finished(owner, verdict.done)
            self.finished |= {record.position for record in verdict.done}
        owner.known = True
        owner.becomes(verdict.pending)
        self.owners += self.ledger.separate(owner)

    @precondition(lambda self: self.owners)
    @step(data=st.data())
    def announce(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.owners))
        owner.becomes([owner.first.sent(in_flight=True)])
        if self.ledger.has_place(owner):
            self.commit()
        else:
            assert self._written(), "nobody has a place, and yet there is none"
            owner.becomes([owner.first.sent(in_flight=False)])

    @step()
    def commit(self) -> None:
        with patch.object(checkpoints, "MOST_SPANS", self.spans):
            self.durable = self._through_the_commit(self.ledger.checkpoint(clean=False))
        for position, _ in self.log:
            if self._claims(self.durable, position):
                assert position in self.finished, (position, self.durable)

    def _through_the_commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """What comes back of it: whatever has happened it has room, and a budget that was in it stays in it."""
        if self.room is None or checkpoint.at is None:
            return checkpoint
        text = pack(LaneRow("id", "t-0", "o" * 36, 2**31, 2**31, None, checkpoint), self.room)
        assert len(text) <= self.room
        back = unpack(text, "id", "t-0", checkpoint.at)
        assert isinstance(back, LaneRow)
        assert back.checkpoint is not None
        assert back.checkpoint.parts == checkpoint.parts
        if not self.ledger.is_restoring:
            tried = {self._id(part) for owner in self.owners for part in owner.parts if part.budget != Budget()}
            written = {self._id(part) for part in self._written()}
            assert self.placed & tried <= written, "a budget was left out that had its place"
            sizes = [part_size(part.cover, self.ledger.mark) for part in self._written()]
            assert sum(sizes) <= self.room - HEADROOM
            budgets = sorted(part.attempts for part in checkpoint.parts if part != Budget())
            assert budgets == sorted(part.budget.attempts for part in self._written())
            self.placed = written
        return back.checkpoint

    def _written(self) -> list[Part]:
        return [part for owner in self.owners for part in owner.parts if part.cover]

    def _id(self, part: Part) -> tuple[int, ...]:
        return tuple(record.position for record in part.records)

    @step(factor=st.sampled_from([1, 2, 10]), size=st.integers(1, 6), same=st.booleans())
    def crash(self, factor: int, size: int, same: bool) -> None:  # noqa: FBT001
        if not same:
            self.one_line = self.one_line and factor == self.factor
            self.factor, self.size = factor, size
        self._open()

    def _leave(self, owner: Owner, records: tuple[Record, ...]) -> None:
        self.finished |= {record.position for record in records}
        self.ledger.finished(owner, records)
        if not owner.parts:
            self.owners.remove(owner)

    def _seen(self, records: tuple[Record, ...]) -> None:
        for record in records:
            key = str(record.key)
            self.last[key] = record.position
            self.newest[key] = max(record.position, self.newest.get(key, 0))

    def _dropped(self, records: tuple[Record, ...]) -> None:
        for record in records:
            key = str(record.key)
            if self.newest.get(key) == record.position:
                self.newest[key] = self.last[key]

    def _must_be_in_order(self, records: tuple[Record, ...]) -> None:
        before: set[int] = set()
        for record in records:
            for position, key in self.log:
                if position >= record.position:
                    break
                if self.one_line or key == record.key:
                    assert position in self.finished | before, f"{record.position} overtook {position}"
            before.add(record.position)

    def _claims(self, checkpoint: Checkpoint, position: int) -> bool:
        return position <= (checkpoint.at or 0) or any(
            span.part is None and span.first <= position <= span.last for span in checkpoint.spans
        )

    @invariant()
    def one_owner_per_key_and_no_record_twice(self) -> None:
        owners = getattr(self, "owners", [])
        keys = [key for owner in owners for key in owner.keys]
        assert len(keys) == len(set(keys))
        held = [record.position for owner in owners for part in owner.parts for record in part.records]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        """Everything that is left succeeds."""
        if not hasattr(self, "log"):
            return
        while self.next < len(self.log) or self.owners or self.ledger.buffer.ready:
            self.read(100, 0)
            while self.ledger.buffer.ready and self.ledger.may_hand_out:
                self.take(1)
            for owner in list(self.owners):
                self._must_be_in_order(owner.first.records)
                self._seen(owner.first.records)
                self._leave(owner, owner.first.records)
        assert self.finished == {position for position, _ in self.log}
        assert self.ledger.past_mark == self.ledger.held_bytes == 0
        assert (self.ledger.mark or 0) >= (self.log[-1][0] if self.log else 0)
        if self.retry.reports is Reports.LOWEST:  # otherwise the function has its own word within a batch
            assert self.last == self.newest


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(PATIENT, max_examples=120, stateful_step_count=40)


@pytest.mark.parametrize("ended", [True, False])
def test_a_lane_is_finished_once_it_has_ended_and_all_of_it_is(ended: bool) -> None:  # noqa: FBT001
    ledger = opened()
    ledger.admit(structs.replace(page("10a"), ended=ended), 0.0)
    assert not ledger.is_finished
    finish(ledger, ledger.take(1))
    assert ledger.is_finished == ended


def test_a_hundred_workers_have_a_key_each_as_long_as_there_are_keys() -> None:
    ledger = opened(size=100, factor=100)
    ledger.admit(LogPage(tuple(at(n, n, f"k{n % 80}") for n in range(1, 801))), 0.0)
    owners = []
    for busy in range(100):
        if not ledger.buffer.ready:
            break
        owners.append(ledger.take(100 - busy))
    assert len(owners) == 80
    assert all(len(set(owner.keys)) == 1 for owner in owners)


def test_records_without_a_key_come_back_to_the_part_they_were_in() -> None:
    log = (structs.replace(at(1, 10), key=None), structs.replace(at(2, 20), key=None), at(3, 30))
    checkpoint = Checkpoint(0, spans=(Span(20, 20, 0),), parts=(Budget(1, 0.0),))
    ledger = opened(checkpoint, size=9)
    (owner,) = ledger.admit(LogPage(log), 0.0).owners
    assert [record.position for record in owner.first.records] == [20]
    assert [record.position for record in ledger.take(1).first.records] == [30]
    assert ledger.mark == 10
