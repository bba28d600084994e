"""What a reply does to a part of a log: the answer table, bisect, the budget, age and crashes."""

import json

import pytest
from core_log_records import at, part, places, positions
from core_records import PATIENT
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esm.checkpoint import Budget
from esm.core.log.judging import Reports, RetryRule, cut_off, doomed, judge_log, spent
from esm.core.log.parts import Part
from esm.core.partial import offset_id
from esm.model import Drop, Errored, Outcome, Record, Refused, Reply, Returned

REPORTS = RetryRule(reports=Reports.LOWEST)
FAILED = Errored(Outcome.FUNCTION_ERROR, "boom")
THREE = part("10a", "20b", "30a")


def reported(*ids: object) -> Returned:
    return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids]}).encode())


def with_budget(one: Part, **used: object) -> Part:
    return structs.replace(one, budget=Budget(**used))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        b"null",
        b"{}",
        b'""',
        b"[]",
        b"",
        b'{"batchItemFailures": []}',
        b'{"batchItemFailures": null}',
        b'{"x": [1]}',
    ],
)
def test_full_success(answer: bytes) -> None:
    verdict = judge_log(THREE, Returned(answer), REPORTS, 0.0)
    assert (verdict.outcome, verdict.done, verdict.pending) == (Outcome.SUCCESS, THREE.records, ())


@pytest.mark.parametrize(
    "reply",
    [
        FAILED,
        Errored(Outcome.TIMEOUT, "slow"),
        Returned(b"no json"),
        reported(""),
        reported(None),
        reported(20),
        reported("20", "nonsense"),
        Returned(b'{"batchItemFailures": [{"foo": 1}]}'),
    ],
)
def test_full_failure_costs_an_attempt(reply: Reply) -> None:
    verdict = judge_log(THREE, reply, REPORTS, 5.0)
    assert verdict.done == ()
    assert verdict.pending == (Part(THREE.records, Budget(1, 5.0), reply=reply),)


def test_without_reports_any_body_is_a_success() -> None:
    assert judge_log(THREE, reported("20"), RetryRule(), 0.0).outcome is Outcome.SUCCESS


def test_the_lowest_reported_cuts_and_the_rest_begins_anew() -> None:
    tried = with_budget(THREE, attempts=2, first_failed=1.0)
    verdict = judge_log(tried, reported("30", "20"), RetryRule(3, reports=Reports.LOWEST), 5.0)
    assert (verdict.outcome, places(verdict.done)) == (Outcome.PARTIAL, ["10a"])
    assert positions(verdict.pending) == [[20, 30]]
    assert verdict.pending[0].budget == Budget()


def test_positions_are_compared_as_numbers() -> None:
    two = part("9a", "10b", "11c")
    assert places(judge_log(two, reported("11", "10"), REPORTS, 0.0).done) == ["9a"]


def test_no_progress_costs_an_attempt() -> None:
    verdict = judge_log(THREE, reported("10"), REPORTS, 5.0)
    assert (verdict.outcome, verdict.pending[0].budget) == (Outcome.PARTIAL, Budget(1, 5.0))


def test_no_progress_with_bisect_halves() -> None:
    rule = RetryRule(0, bisect=True, reports=Reports.LOWEST)
    assert positions(judge_log(THREE, reported("10"), rule, 0.0).pending) == [[10], [20, 30]]


def test_progress_with_bisect_cuts_and_does_not_halve() -> None:
    rule = RetryRule(0, bisect=True, reports=Reports.LOWEST)
    assert positions(judge_log(THREE, reported("20"), rule, 0.0).pending) == [[20, 30]]


def test_a_refusal_costs_nothing_and_is_not_in_flight_any_more() -> None:
    sent = with_budget(THREE, attempts=3, first_failed=1.0, in_flight=True)
    verdict = judge_log(sent, Refused(Outcome.THROTTLED, "busy", 7.0), RetryRule(3), 5.0)
    assert (verdict.pending, verdict.retry_after) == ((with_budget(THREE, attempts=3, first_failed=1.0),), 7.0)


def test_n_retries_are_n_and_one_deliveries() -> None:
    one, deliveries = part("10a"), 0
    while True:
        deliveries += 1
        verdict = judge_log(one, FAILED, RetryRule(3), 0.0)
        if verdict.drop:
            break
        (one,) = verdict.pending
    assert (deliveries, verdict.drop.attempts, verdict.drop.condition) == (4, 4, "RetryAttemptsExhausted")
    assert verdict.drop.reply == FAILED


def test_a_batch_is_given_up_as_a_whole_but_with_bisect_only_a_single_record_is() -> None:
    drop = judge_log(THREE, FAILED, RetryRule(0), 0.0).drop
    assert drop == Drop(THREE.records, "RetryAttemptsExhausted", 1, FAILED)
    tried = with_budget(THREE, attempts=5, first_failed=0.0)
    assert doomed(tried, RetryRule(4), 0.0) == Drop(THREE.records, "RetryAttemptsExhausted", 5)
    assert doomed(tried, RetryRule(5), 0.0) is None
    assert doomed(tried, RetryRule(4, bisect=True), 0.0) is None
    single = with_budget(part("10a"), attempts=5, first_failed=0.0)
    assert doomed(single, RetryRule(4, bisect=True), 0.0) == Drop(single.records, "RetryAttemptsExhausted", 5)


def test_what_somebody_gave_up_is_doomed_whatever_the_rule_says() -> None:
    tried = Part(THREE.records, Budget(2, 1.0, given_up=True), reply=FAILED)
    drop = Drop(THREE.records, "RetryAttemptsExhausted", 2, FAILED)
    assert [
        doomed(tried, rule, 99.0) for rule in (RetryRule(), RetryRule(9, bisect=True), RetryRule(age=1.0))
    ] == [
        drop,
        drop,
        drop,
    ]


def test_infinite_retries_never_end() -> None:
    one = with_budget(part("10a"), attempts=10_000, first_failed=0.0)
    assert judge_log(one, FAILED, RetryRule(), 0.0).drop is None


def test_bisect_uses_no_quota_and_never_gives_up_more_than_one_record() -> None:
    waiting, given_up = [part("10a", "20b", "30a", "40c", "50a")], []
    while waiting:
        verdict = judge_log(waiting.pop(0), FAILED, RetryRule(0, bisect=True), 0.0)
        waiting = [*verdict.pending, *waiting]
        given_up += [verdict.drop] if verdict.drop else []
    assert [places(drop.records) for drop in given_up] == [["10a"], ["20b"], ["30a"], ["40c"], ["50a"]]
    assert {drop.attempts for drop in given_up} == {1}


def test_the_first_half_is_the_smaller_one() -> None:
    verdict = judge_log(part("10a", "20b", "30a", "40c", "50a"), FAILED, RetryRule(bisect=True), 0.0)
    assert positions(verdict.pending) == [[10, 20], [30, 40, 50]]


# What a topic's function lists

LISTS = RetryRule(3, reports=Reports.LISTED)


def of_topic(*places: str) -> Part:
    """Records of partition orders-0; "10a" is the one at offset 10, with key a."""
    one = part(*places)
    named = [structs.replace(each, id=offset_id("orders-0", each.position)) for each in one.records]
    return structs.replace(one, records=tuple(named))


def listing(*offsets: int) -> Returned:
    return reported(*({"partition": "orders-0", "offset": offset} for offset in offsets))


TOPIC = of_topic("10a", "20b", "30a", "40c")


@pytest.mark.parametrize("bisect", [True, False])
def test_only_what_is_listed_is_sent_again_and_begins_anew(bisect: bool) -> None:  # noqa: FBT001
    tried = with_budget(TOPIC, attempts=2, first_failed=1.0)
    rule = RetryRule(3, bisect=bisect, reports=Reports.LISTED)
    verdict = judge_log(tried, listing(40, 20), rule, 5.0)
    assert (verdict.outcome, places(verdict.done)) == (Outcome.PARTIAL, ["10a", "30a"])
    assert (positions(verdict.pending), verdict.pending[0].budget) == ([[20, 40]], Budget())


def test_the_same_list_again_counts_and_a_shorter_one_is_progress() -> None:
    (some,) = judge_log(TOPIC, listing(20, 40), LISTS, 1.0).pending
    (same,) = judge_log(some, listing(40, 20), LISTS, 2.0).pending
    assert (places(same.records), same.budget) == (["20b", "40c"], Budget(1, 2.0))
    verdict = judge_log(same, listing(40), LISTS, 3.0)
    assert (places(verdict.done), verdict.pending[0].budget) == (["20b"], Budget())


def test_the_same_list_to_the_end_is_given_up_alone() -> None:
    (left,) = judge_log(TOPIC, listing(30), LISTS, 1.0).pending
    for _ in range(3):
        (left,) = judge_log(left, listing(30), LISTS, 1.0).pending
    verdict = judge_log(left, listing(30), LISTS, 1.0)
    assert verdict.drop is not None
    assert (places(verdict.drop.records), verdict.drop.attempts, verdict.pending) == (["30a"], 4, ())


def test_a_list_of_everything_is_halved_with_bisect_and_counted_without() -> None:
    """AWS says nothing of it; halved, so that a batch of several is never given up while bisecting is on."""
    everything = listing(10, 20, 30, 40)
    verdict = judge_log(TOPIC, everything, RetryRule(0, bisect=True, reports=Reports.LISTED), 1.0)
    assert (verdict.outcome, positions(verdict.pending)) == (Outcome.PARTIAL, [[10, 20], [30, 40]])
    assert verdict.why == "every record was reported"
    assert judge_log(TOPIC, everything, LISTS, 1.0).pending[0].budget == Budget(1, 1.0)


@pytest.mark.parametrize(
    "reply",
    [reported("orders-0@20"), reported("20"), listing(21), reported({"partition": "orders-1", "offset": 20})],
)
def test_a_list_of_what_was_not_sent_fails_the_whole_batch(reply: Reply) -> None:
    verdict = judge_log(TOPIC, reply, LISTS, 5.0)
    assert (verdict.outcome, verdict.done) == (Outcome.FUNCTION_ERROR, ())
    assert verdict.pending[0].budget == Budget(1, 5.0)


def test_what_a_stream_would_understand_means_nothing_to_a_topic_and_the_other_way_round() -> None:
    assert judge_log(TOPIC, listing(20), REPORTS, 0.0).outcome is Outcome.FUNCTION_ERROR
    assert judge_log(TOPIC, listing(20), RetryRule(), 0.0).outcome is Outcome.SUCCESS


def test_a_failed_part_stays_where_it_is_written_down() -> None:
    placed = structs.replace(with_budget(TOPIC, attempts=1, first_failed=0.5), cover=((10, 40),))
    assert judge_log(placed, FAILED, LISTS, 5.0).pending[0].cover == ((10, 40),)
    assert judge_log(placed, listing(20), LISTS, 5.0).pending[0].cover == ()


# Age


def test_only_expired_records_are_cut_off() -> None:
    old = Part((at(1, 10, arrived=0.0), at(2, 20, arrived=50.0), at(3, 30, arrived=1.0)), Budget(2, 60.0))
    drop = doomed(old, RetryRule(age=60.0), 61.5)
    assert drop is not None
    assert (places(drop.records), drop.condition, drop.attempts) == (["10a", "30a"], "RecordAgeExceeded", 2)


def test_a_record_is_as_old_as_allowed() -> None:
    assert doomed(Part((at(1, 10),)), RetryRule(age=60.0), 60.0) is None


def test_what_grew_too_old_is_told_with_the_last_answer() -> None:
    tried = Part((at(1, 10, arrived=0.0),), Budget(2, 60.0), reply=FAILED)
    drop = doomed(tried, RetryRule(age=60.0), 61.0)
    assert drop == Drop(tried.records, "RecordAgeExceeded", 2, FAILED)


# What is told


@pytest.mark.parametrize("bisect", [True, False])
@pytest.mark.parametrize(
    ("reply", "outcome", "why"),
    [
        (FAILED, Outcome.FUNCTION_ERROR, "boom"),
        (Errored(Outcome.TIMEOUT, "slow"), Outcome.TIMEOUT, "slow"),
        (reported("10"), Outcome.PARTIAL, "the first record was reported"),
        (
            Returned(b"-"),
            Outcome.FUNCTION_ERROR,
            "the answer is not JSON, so the whole batch is treated as failed",
        ),
    ],
)
def test_a_verdict_says_why(reply: Reply, outcome: Outcome, why: str, bisect: bool) -> None:  # noqa: FBT001
    verdict = judge_log(THREE, reply, RetryRule(bisect=bisect, reports=Reports.LOWEST), 0.0)
    assert (verdict.outcome, verdict.why, verdict.retry_after) == (outcome, why, None)
    spent_at_once = judge_log(part("10a"), reply, RetryRule(0, bisect=bisect, reports=Reports.LOWEST), 0.0)
    assert (spent_at_once.outcome, spent_at_once.why) == (outcome, why)
    assert spent_at_once.drop == Drop(part("10a").records, "RetryAttemptsExhausted", 1, reply)


def test_a_refusal_says_why() -> None:
    verdict = judge_log(THREE, Refused(Outcome.UNREACHABLE, "nobody there"), RetryRule(), 0.0)
    assert (verdict.outcome, verdict.why, verdict.retry_after) == (Outcome.UNREACHABLE, "nobody there", None)


def test_what_is_left_of_a_partial_answer_remembers_it() -> None:
    """In case it grows too old before it is sent again."""
    answer = reported("20")
    assert judge_log(THREE, answer, REPORTS, 0.0).pending[0].reply == answer


# What a crash does: D25


def test_a_crash_counts_as_an_attempt_but_is_no_reason_to_give_up() -> None:
    rule = RetryRule(0)
    (once,) = cut_off(with_budget(part("10a"), in_flight=True), rule, 9.0)
    assert once.budget == Budget(1, 9.0, cuts=1)
    assert doomed(once, rule, 9.0) is None
    (twice,) = cut_off(once.sent(in_flight=True), rule, 10.0)
    assert twice.budget == Budget(2, 9.0, cuts=2)
    drop = doomed(twice, rule, 10.0)
    assert drop is not None
    assert (drop.attempts, drop.reply) == (2, None)


def test_an_answer_between_two_crashes_counts_them_anew() -> None:
    (once,) = cut_off(with_budget(part("10a"), in_flight=True), RetryRule(5), 9.0)
    (answered,) = judge_log(once.sent(in_flight=True), FAILED, RetryRule(5), 9.0).pending
    assert answered.budget == Budget(2, 9.0)


def test_a_refusal_between_two_crashes_does_not() -> None:
    (once,) = cut_off(with_budget(part("10a"), in_flight=True), RetryRule(5), 9.0)
    (refused,) = judge_log(once.sent(in_flight=True), Refused(Outcome.THROTTLED, ""), RetryRule(5), 9.0).pending
    assert refused.budget == Budget(1, 9.0, cuts=1)


def test_with_bisect_a_crash_halves() -> None:
    sent = with_budget(THREE, in_flight=True)
    assert positions(cut_off(sent, RetryRule(0, bisect=True), 0.0)) == [[10], [20, 30]]


def test_with_bisect_two_records_are_halved_by_a_crash_and_one_is_counted() -> None:
    rule = RetryRule(0, bisect=True)
    two, one = (with_budget(each, in_flight=True) for each in (part("10a", "20b"), part("10a")))
    assert positions(cut_off(two, rule, 9.0)) == [[10], [20]]
    (counted,) = cut_off(one, rule, 9.0)
    assert counted.budget == Budget(1, 9.0, cuts=1)


def test_what_was_not_being_sent_is_as_it_was() -> None:
    one = with_budget(THREE, attempts=2, first_failed=0.0)
    assert cut_off(one, RetryRule(bisect=True), 5.0) == (one,)


def test_what_is_given_up_stays_given_up() -> None:
    tried = with_budget(part("10a"), attempts=2, first_failed=1.0, in_flight=True)
    drop = judge_log(tried, FAILED, RetryRule(2), 5.0).drop
    assert drop is not None
    remembered = spent(tried, drop, 5.0)
    assert remembered.budget == Budget(3, 1.0)
    assert doomed(remembered, RetryRule(2), 5.0) == drop


def test_what_is_too_large_is_never_sent() -> None:
    large = Part((at(1, 10),), too_large="7 MB")
    assert doomed(large, RetryRule(), 0.0) == Drop(large.records, "MaximumPayloadSizeExceeded", 0)


REPLIES = st.one_of(
    st.just(FAILED),
    st.just(Refused(Outcome.THROTTLED, "")),
    st.just(Returned(b"{}")),
    st.lists(st.integers(1, 8).map(lambda n: str(10 * n)), min_size=1, max_size=3).map(lambda ids: reported(*ids)),
)


@PATIENT
@given(
    count=st.integers(1, 7),
    reply=REPLIES,
    attempts=st.integers(0, 4),
    rule=st.builds(
        RetryRule,
        attempts=st.none() | st.integers(0, 3),
        bisect=st.booleans(),
        reports=st.sampled_from(Reports),
    ),
)
def test_a_verdict_covers_its_part_in_order(count: int, reply: Reply, attempts: int, rule: RetryRule) -> None:
    one = with_budget(part(*(f"{10 * n}a" for n in range(1, count + 1))), attempts=attempts, first_failed=0.0)
    verdict = judge_log(one, reply, rule, 1.0)
    dropped = verdict.drop.records if verdict.drop else ()
    everything: list[Record] = [*verdict.done, *dropped]
    for each in verdict.pending:
        assert each.records
        assert not each.budget.in_flight
        everything += each.records
    assert tuple(everything) == one.records
    if isinstance(reply, Refused):
        assert verdict.pending[0].budget == one.budget
    if verdict.drop:
        assert rule.attempts is not None
        assert verdict.drop.attempts > rule.attempts
        assert len(dropped) == 1 or not rule.bisect
