"""What is held: whose deadline is when, when more time is asked for, and when a batch is let go."""

import math

import pytest
from core_records import PATIENT, TERMS, ids, record
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from esm.core.queue.holding import Holding, hold_until, weight
from esm.model import Record, Terms

HALF = 0.5
"""A jitter in the middle of its range."""


def held(*records: Record, now: float = 0.0, chance: float = 0.0, terms: Terms = TERMS) -> Holding:
    holding = Holding()
    holding.admit(records, terms, now, chance)
    return holding


def test_what_is_read_is_ours_for_the_visibility_timeout() -> None:
    holding = held(record(1), now=100.0)
    assert holding.ours(record(1), 129.9)
    assert not holding.ours(record(1), 130.0)
    assert not holding.ours(record(2), 100.0)


def test_everything_held_is_listed() -> None:
    holding = held(record(1), record(2))
    assert (len(holding), holding.ids()) == (2, ["m1", "m2"])


def test_d24_a_record_read_again_is_no_second_one_but_a_newer_receipt() -> None:
    holding = held(record(1, handle="old"), now=0.0)
    again = record(2, id_="m1", handle="new")
    other = record(3)
    assert holding.admit([again, other], TERMS, 20.0, 0.0) == [other]
    assert holding.latest(record(1)).handle == "new"
    assert holding.ours(record(1), 49.9)
    assert not holding.ours(record(1), 50.0)
    assert len(holding) == 2


def test_d24_the_same_record_twice_in_one_page_is_one() -> None:
    holding = Holding()
    first, second = record(1, handle="old"), record(2, id_="m1", handle="new")
    assert holding.admit([first, second], TERMS, 0.0, 0.0) == [first]
    assert holding.latest(first).handle == "new"


def test_the_newest_copy_of_what_is_not_held_is_the_one_at_hand() -> None:
    stranger = record(7)
    assert Holding().latest(stranger) is stranger


# Asking for more time


def test_a_third_of_the_visibility_is_left_when_more_time_is_asked_for() -> None:
    assert held(record(1), now=100.0).next_due() == 120.0


def test_the_jitter_asks_earlier_by_up_to_half_the_headroom() -> None:
    assert held(record(1), now=100.0, chance=HALF).next_due() == 117.5


def test_a_long_visibility_is_asked_for_a_minute_before_its_end() -> None:
    terms = structs.replace(TERMS, visibility=600.0)
    assert held(record(1), terms=terms).next_due() == 540.0
    assert held(record(1), terms=terms, chance=HALF).next_due() == 525.0


@PATIENT
@given(visibility=st.floats(0.0, 43_200.0), chance=st.floats(0.0, 1.0, exclude_max=True), now=st.floats(0.0, 1e6))
def test_it_is_always_asked_for_while_it_is_ours_and_never_in_the_first_half(
    visibility: float, chance: float, now: float
) -> None:
    terms = structs.replace(TERMS, visibility=visibility)
    due = held(record(1), now=now, chance=chance, terms=terms).next_due()
    assert due is not None
    assert due <= now + visibility
    assert due >= now + visibility / 2 - 1e-6
    assert now + visibility - due <= 90.0 + 1e-6


def test_nothing_held_is_nothing_due() -> None:
    assert Holding().next_due() is None
    assert Holding().due(1e9, TERMS) == []
    empty = Holding()
    assert empty.admit([], TERMS, 0.0, 0.0) == []
    assert empty.next_due() is None


def test_due_hands_out_each_record_once_until_it_is_answered() -> None:
    holding = held(record(1), record(2), now=0.0)
    assert holding.due(19.9, TERMS) == []
    assert ids(holding.due(20.0, TERMS)) == ["m1", "m2"]
    assert holding.due(20.0, TERMS) == []
    assert holding.next_due() is None


def test_several_pages_come_due_together_and_a_renewed_record_once() -> None:
    holding = held(record(1), now=0.0)
    holding.admit([record(2), record(3, id_="m1", handle="new")], TERMS, 5.0, 0.0)
    assert holding.next_due() == 20.0
    due = holding.due(25.0, TERMS)
    assert sorted(ids(due)) == ["m1", "m2"]
    assert {each.id: each.handle for each in due}["m1"] == "new"


def test_what_was_extended_is_ours_for_a_visibility_more_and_comes_due_again() -> None:
    holding = held(record(1), now=0.0)
    due = holding.due(20.0, TERMS)
    holding.extended(due, TERMS, 20.0, HALF)
    assert holding.ours(record(1), 49.9)
    assert not holding.ours(record(1), 50.0)
    assert holding.next_due() == 37.5
    assert ids(holding.due(37.5, TERMS)) == ["m1"]


def test_what_nobody_answered_is_asked_for_again_in_a_second_and_keeps_its_deadline() -> None:
    holding = held(record(1), now=0.0)
    due = holding.due(20.0, TERMS)
    holding.unanswered(due, 20.0)
    assert holding.next_due() == 21.0
    assert not holding.ours(record(1), 30.0)
    assert ids(holding.due(21.0, TERMS)) == ["m1"]


@pytest.mark.parametrize(("asked", "again"), [(28.5, 29.25), (29.0, 29.5), (29.5, 29.75), (30.0, 31.0)])
def test_it_is_asked_for_again_before_its_time_is_over(asked: float, again: float) -> None:
    holding = held(record(1), now=0.0)
    holding.unanswered(holding.due(asked, TERMS), asked)
    assert holding.next_due() == again


def test_what_left_meanwhile_is_neither_extended_nor_asked_for() -> None:
    holding = held(record(1), now=0.0)
    due = holding.due(20.0, TERMS)
    holding.forget(due)
    holding.extended(due, TERMS, 20.0, 0.0)
    holding.unanswered(due, 20.0)
    assert holding.next_due() is None
    assert not holding.ours(record(1), 20.0)
    also = held(record(1), record(2), now=0.0)
    also.forget([record(1)])
    assert ids(also.due(20.0, TERMS)) == ["m2"]


def test_what_is_lost_is_not_ours_but_its_receipt_may_still_serve() -> None:
    holding = held(record(1, handle="receipt"), now=0.0)
    holding.lost([record(1), record(9)])
    assert not holding.ours(record(1), 0.0)
    assert holding.latest(record(1)).handle == "receipt"
    assert len(holding) == 1


def test_nothing_is_extended_past_the_longest_a_queue_allows() -> None:
    terms = Terms(visibility=30.0, longest=100.0, retention=1e6)
    holding = held(record(1, read=0.0), terms=terms)
    now, asked = 20.0, []
    while due := holding.due(now, terms):
        asked.append(now)
        holding.extended(due, terms, now, 0.0)
        now = holding.next_due() or math.inf
    assert asked == [20.0, 40.0, 60.0]
    assert holding.ours(record(1), 89.9)
    assert not holding.ours(record(1), 90.0)


@pytest.mark.parametrize(("now", "kept"), [(70.0, True), (70.1, False)])
def test_exactly_the_longest_is_allowed(now: float, kept: bool) -> None:  # noqa: FBT001 -- a table
    terms = Terms(visibility=30.0, longest=100.0, retention=1e6)
    assert bool(held(record(1, read=0.0), terms=terms).due(now, terms)) is kept


# Leaving


def test_forgetting_returns_the_bytes_once() -> None:
    one, two = record(1, event=b"12345"), record(2, event=b"123")
    holding = held(one, two, record(3, event=b"1"))
    assert holding.forget([record(1), record(2), record(9)]) == weight(one) + weight(two)
    assert holding.forget([record(1), record(2)]) == 0
    assert holding.ids() == ["m3"]


def test_the_bytes_are_those_it_was_counted_with_even_if_a_newer_copy_is_longer() -> None:
    first, again = record(1, event=b"12345"), record(2, id_="m1", event=b"1234567")
    holding = held(first)
    holding.admit([again], TERMS, 1.0, 0.0)
    assert holding.forget([again]) == weight(first)


def test_a_record_weighs_its_fragment_and_its_share_of_a_payload() -> None:
    assert weight(record(1, event=b"12345")) == 10


class HoldingMachine(RuleBasedStateMachine):
    """Reads, heartbeats, losses and settlements over a moving clock, against a dictionary of deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = Terms(visibility=30.0, longest=120.0, retention=1e6)
        self.holding = Holding()
        self.now = 0.0
        self.until: dict[str, float] = {}
        self.read_at: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self.asked: list[Record] = []

    @rule(seconds=st.floats(0.1, 15.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(numbers=st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True), chance=st.floats(0.0, 0.99))
    def read(self, numbers: list[int], chance: float) -> None:
        page = [record(n, read=self.now, event=b"x" * n, handle=f"{self.now}") for n in numbers]
        fresh = self.holding.admit(page, self.terms, self.now, chance)
        assert ids(fresh) == [each.id for each in page if each.id not in self.until]
        for each in page:
            self.until[each.id] = self.now + self.terms.visibility
            self.read_at[each.id] = self.now
            self.bytes.setdefault(each.id, weight(each))
            assert self.holding.latest(each).handle == each.handle

    @rule()
    def ask(self) -> None:
        due = self.holding.due(self.now, self.terms)
        assert len(set(ids(due))) == len(due)
        for each in due:
            assert self.now + self.terms.visibility <= self.read_at[each.id] + self.terms.longest
        self.asked += due

    @rule(answer=st.sampled_from(["extended", "lost", "unanswered"]), chance=st.floats(0.0, 0.99))
    def answered(self, answer: str, chance: float) -> None:
        asked, self.asked = self.asked, []
        here = [each.id for each in asked if each.id in self.until]
        if answer == "extended":
            self.holding.extended(asked, self.terms, self.now, chance)
            self.until.update(dict.fromkeys(here, self.now + self.terms.visibility))
        elif answer == "lost":
            self.holding.lost(asked)
            newest = {each.id for each in asked if self.holding.latest(each).handle == each.handle}
            self.until.update(dict.fromkeys(newest.intersection(here), -math.inf))
        else:
            self.holding.unanswered(asked, self.now)

    @rule(numbers=st.sets(st.integers(1, 8), max_size=4))
    def settle(self, numbers: set[int]) -> None:
        leaving = [record(n, event=b"another size") for n in numbers]
        expected = sum(self.bytes.pop(each.id, 0) for each in leaving)
        assert self.holding.forget(leaving) == expected
        for each in leaving:
            self.until.pop(each.id, None)

    @invariant()
    def it_knows_what_is_ours(self) -> None:
        assert sorted(self.holding.ids()) == sorted(self.until)
        assert len(self.holding) == len(self.until)
        for n in range(1, 9):
            assert self.holding.ours(record(n), self.now) == (self.now < self.until.get(f"m{n}", -math.inf))

    @invariant()
    def what_is_ours_and_can_be_kept_is_in_the_plan(self) -> None:
        """Nobody is forgotten: it is planned in time, or it is being asked for, or it may not be kept longer."""
        asking = set(ids(self.asked))
        for id_, until in self.until.items():
            could_be_kept = self.now + self.terms.visibility <= self.read_at[id_] + self.terms.longest
            if until > self.now and could_be_kept and id_ not in asking:
                due = self.holding.next_due()
                assert due is not None
                assert due < until


TestHolding = HoldingMachine.TestCase
TestHolding.settings = settings(PATIENT, max_examples=50, stateful_step_count=30)


# Letting go (D1)


def test_d1_the_engine_s_own_limit_counts_from_the_read() -> None:
    assert hold_until([record(1, read=100.0, arrived=5_000.0)], TERMS, 3600.0, 200.0, 5_200.0) == 3700.0


def test_d1_the_queue_s_limit_when_it_is_the_shorter() -> None:
    assert hold_until([record(1, read=100.0, arrived=5_000.0)], TERMS, 90_000.0, 200.0, 5_200.0) == 43_300.0


def test_d1_the_end_of_retention_counts_from_the_arrival_on_the_wall_clock() -> None:
    terms = structs.replace(TERMS, retention=600.0)
    assert hold_until([record(1, read=100.0, arrived=5_000.0)], terms, 3600.0, 200.0, 5_200.0) == 600.0


def test_d1_the_oldest_record_decides() -> None:
    batch = [record(1, read=300.0, arrived=5_000.0), record(2, read=100.0, arrived=5_000.0)]
    assert hold_until(batch, TERMS, 3600.0, 300.0, 5_300.0) == 3700.0
    terms = structs.replace(TERMS, retention=600.0)
    batch = [record(1, read=300.0, arrived=4_900.0), record(2, read=300.0, arrived=5_000.0)]
    assert hold_until(batch, terms, 3600.0, 300.0, 5_300.0) == 500.0


@PATIENT
@given(
    ages=st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=1, max_size=4),
    max_hold=st.floats(0, 1e5),
    retention=st.floats(0, 1e5),
)
def test_d1_no_record_of_a_batch_is_held_past_any_of_its_limits(
    ages: list[tuple[float, float]], max_hold: float, retention: float
) -> None:
    now, wall = 1_000.0, 50_000.0
    terms = structs.replace(TERMS, retention=retention)
    batch = [record(n, read=now - held, arrived=wall - held - age) for n, (held, age) in enumerate(ages)]
    until = hold_until(batch, terms, max_hold, now, wall)
    limits = [
        min(each.read + max_hold, each.read + terms.longest, now + each.arrived + retention - wall)
        for each in batch
    ]
    assert until == pytest.approx(min(limits))


def test_what_is_settled_leaves_nothing_behind() -> None:
    """Long before its heartbeat would have been due."""
    holding, terms = Holding(), Terms(43_200.0, 43_200.0, 345_600.0)
    for n in range(1_000):
        page = [record(n)]
        holding.admit(page, terms, float(n), 0.5)
        holding.forget(page)
    assert len(holding._heap) <= 100
