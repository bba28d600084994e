"""What a reply means for a batch: every row of AWS's answer table, with and without reported failures."""

import json

import pytest
from core_records import PATIENT, ids, record
from hypothesis import given
from hypothesis import strategies as st

from esm.core.queue.judging import Reports, judge, rest_of_groups
from esm.model import Errored, Outcome, Record, Refused, Reply, Returned, Verdict

BATCH = [record(1, "g"), record(2, "h"), record(3, "g"), record(4, "h")]


def naming(*identifiers: object) -> Returned:
    items = [{"itemIdentifier": each} for each in identifiers]
    return Returned(json.dumps({"batchItemFailures": items}).encode())


def reported(reply: Reply, batch: list[Record] = BATCH) -> Verdict:
    return judge(batch, reply, Reports.LISTED)


SUCCESSES = {
    "row 1": b"null",
    "row 1, zero bytes (D5)": b"",
    "row 2": b"{}",
    "row 3": b'""',
    "row 4": b"[]",
    "row 5": b'{"batchItemFailures":[]}',
    "row 6": b'{"batchItemFailures":null}',
    "row 7": b'{"failedItems":[]}',
    "row 8": b'"done"',
}
FAILURES = {
    "row 9": (b"not json", "the answer is not JSON"),
    "row 10": (naming("").payload, "holds {'itemIdentifier': ''} without"),
    "row 11": (naming(None).payload, "holds {'itemIdentifier': None} without"),
    "row 12": (b'{"batchItemFailures":[{"foo":"notvalid"}]}', "holds {'foo': 'notvalid'} without"),
    "row 13": (naming("m9").payload, "itemIdentifier 'm9' is not in the batch"),
    "row 14 (D4)": (naming("m1", "m9").payload, "itemIdentifier 'm9' is not in the batch"),
}


@pytest.mark.parametrize("payload", SUCCESSES.values(), ids=SUCCESSES.keys())
def test_full_success_deletes_all(payload: bytes) -> None:
    assert reported(Returned(payload)) == Verdict(Outcome.SUCCESS, done=tuple(BATCH))


@pytest.mark.parametrize(("payload", "why"), FAILURES.values(), ids=FAILURES.keys())
def test_an_unreadable_answer_fails_all_and_says_why(payload: bytes, why: str) -> None:
    verdict = reported(Returned(payload))
    assert verdict == Verdict(Outcome.FUNCTION_ERROR, failed=tuple(BATCH), why=verdict.why)
    assert why in verdict.why


@pytest.mark.parametrize("reports", Reports)
@pytest.mark.parametrize("outcome", [Outcome.FUNCTION_ERROR, Outcome.TIMEOUT])
def test_row_15_a_function_that_threw_or_timed_out_fails_all(outcome: Outcome, reports: Reports) -> None:
    verdict = judge(BATCH, Errored(outcome, "boom"), reports)
    assert verdict == Verdict(outcome, failed=tuple(BATCH), why="boom")


def test_row_16_the_listed_fail_and_the_complement_is_done_in_order() -> None:
    verdict = reported(naming("m3", "m2"))
    assert verdict == Verdict(Outcome.PARTIAL, done=(BATCH[0], BATCH[3]), failed=(BATCH[1], BATCH[2]))


def test_all_of_them_listed_is_partial_and_no_function_error() -> None:
    assert reported(naming("m1", "m2", "m3", "m4")) == Verdict(Outcome.PARTIAL, failed=tuple(BATCH))


EVERY_ANSWER = [*SUCCESSES.values(), *(payload for payload, _ in FAILURES.values()), naming("m1").payload]


@pytest.mark.parametrize("payload", EVERY_ANSWER)
def test_without_reported_failures_the_answer_is_ignored(payload: bytes) -> None:
    verdict = judge(BATCH, Returned(payload), Reports.NONE)
    assert verdict == Verdict(Outcome.SUCCESS, done=tuple(BATCH))


@pytest.mark.parametrize("reports", Reports)
@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.UNREACHABLE])
def test_a_refusal_holds_the_batch_as_it_is(outcome: Outcome, reports: Reports) -> None:
    verdict = judge(BATCH, Refused(outcome, "busy", 3.0), reports)
    assert verdict == Verdict(outcome, refused=tuple(BATCH), retry_after=3.0, why="busy")


def test_fifo_as_on_aws_later_successes_of_a_failed_group_are_done() -> None:
    verdict = reported(naming("m1"))
    assert (ids(verdict.done), ids(verdict.failed)) == (["m2", "m3", "m4"], ["m1"])


def test_d6_whole_groups_fail_from_the_first_failure_on() -> None:
    verdict = judge(BATCH, naming("m1"), Reports.GROUPS)
    assert verdict.outcome is Outcome.PARTIAL
    assert (ids(verdict.done), ids(verdict.failed)) == (["m2", "m4"], ["m1", "m3"])


def test_d6_what_came_before_the_failure_in_its_group_is_done() -> None:
    verdict = judge(BATCH, naming("m3"), Reports.GROUPS)
    assert (ids(verdict.done), ids(verdict.failed)) == (["m1", "m2", "m4"], ["m3"])


KEYED = st.lists(st.sampled_from(["g", "h", "i", None]), max_size=8).map(
    lambda keys: [record(seq, key) for seq, key in enumerate(keys)]
)


@PATIENT
@given(records=KEYED, data=st.data())
def test_d6_the_rest_of_a_group_is_what_has_a_failure_at_or_before_it(
    records: list[Record], data: st.DataObject
) -> None:
    failed = data.draw(st.frozensets(st.sampled_from(ids(records)))) if records else frozenset()
    expected = {
        later.id
        for place, later in enumerate(records)
        if any(each.key == later.key and each.id in failed for each in records[: place + 1])
    }
    assert rest_of_groups(records, failed) == expected


REPLIES = st.one_of(
    st.builds(Errored, st.sampled_from([Outcome.FUNCTION_ERROR, Outcome.TIMEOUT]), st.text(max_size=3)),
    st.builds(Refused, st.sampled_from([Outcome.THROTTLED, Outcome.UNREACHABLE]), st.text(max_size=3)),
    st.builds(Returned, st.sampled_from(EVERY_ANSWER) | st.binary(max_size=10)),
    st.lists(st.sampled_from(["m0", "m1", "m2", "m3"]), max_size=4).map(lambda names: naming(*names)),
)


@PATIENT
@given(records=KEYED, reply=REPLIES, reports=st.sampled_from(Reports))
def test_done_failed_and_held_are_the_batch_in_order(
    records: list[Record], reply: Reply, reports: Reports
) -> None:
    verdict = judge(records, reply, reports)
    parts = (verdict.done, verdict.failed, verdict.refused)
    assert sorted(each.seq for part in parts for each in part) == [each.seq for each in records]
    assert all(list(part) == sorted(part, key=lambda each: each.seq) for part in parts)
    assert bool(verdict.refused) == (isinstance(reply, Refused) and bool(records))


@PATIENT
@given(records=KEYED, reply=REPLIES)
def test_whole_groups_only_ever_fails_more(records: list[Record], reply: Reply) -> None:
    alone = judge(records, reply, Reports.LISTED)
    groups = judge(records, reply, Reports.GROUPS)
    assert alone.outcome is groups.outcome
    assert set(ids(alone.failed)) <= set(ids(groups.failed))
