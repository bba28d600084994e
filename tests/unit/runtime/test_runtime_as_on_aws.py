"""What AWS was seen to do with mappings from streams, through the real sources: answers, counts, ages, notices."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import pytest
from runtime_world import EPOCH
from stream_world import FUNCTION, STREAMS, THROWN, StreamRig, numbers_of

from esm.model import Errored, Outcome, Refused, Reply, Returned
from esm.testing import loop

NULL = Returned(b"null")


def reported(*identifiers: object) -> Returned:
    return Returned(json.dumps({"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}).encode())


Make = Callable[..., StreamRig]


@pytest.fixture(params=STREAMS)
def rig_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a rig over each kind of stream; only on the virtual loop."""

    def make(script: Callable[[Sequence[str]], Reply], **options: Any) -> StreamRig:
        return StreamRig(STREAMS[request.param](monkeypatch), script, **options)

    return make


def play(test: Coroutine[Any, Any, None]) -> None:
    loop.run(test)


# Answers, row by row of AWS's table. A batch has three records and one retry.

SUCCESSES = {
    "row 1: null": b"null",
    "row 1: nothing at all (D5)": b"",
    "row 2: an empty object": b"{}",
    "row 3: an empty string": b'""',
    "row 4: an empty list": b"[]",
    "row 5: no failures": b'{"batchItemFailures": []}',
    "row 6: null for failures": b'{"batchItemFailures": null}',
    "row 7: another key": b'{"failedItems": [{"itemIdentifier": "1"}]}',
    "row 8: a string": b'"done"',
    "row 8: a number": b"17",
    "row 8: true": b"true",
    "row 8: a list": b'["1"]',
}


@pytest.mark.parametrize("payload", SUCCESSES.values(), ids=SUCCESSES.keys())
def test_an_answer_of_full_success(rig_of: Make, payload: bytes) -> None:
    async def main() -> None:
        rig = rig_of(lambda _: Returned(payload), reports_failures=True, maximum_retry_attempts=1)
        numbers = rig.stream.put(3)
        async with rig.running(10.0):
            pass
        assert (rig.function.calls, rig.documents) == ([numbers], [])
        assert (await rig.checkpoint()).at == int(numbers[-1])

    play(main())


FAILURES: Mapping[str, Callable[[Sequence[str]], Reply]] = {
    "row 9: no JSON": lambda _: Returned(b"OK"),
    "row 10: an empty identifier": lambda _: reported(""),
    "row 11: null for an identifier": lambda _: reported(None),
    "row 12: another key, a number": lambda _: Returned(b'{"batchItemFailures": [{"foo": 123}]}'),
    "row 12: another key, null": lambda _: Returned(b'{"batchItemFailures": [{"foo": null}]}'),
    "row 12: another key, a text": lambda _: Returned(b'{"batchItemFailures": [{"foo": "notvalid"}]}'),
    "row 13: a number for an identifier": lambda _: reported(123),
    "row 13: an identifier that is not in the batch": lambda _: reported("123"),
    "row 13: the identifier as a number": lambda given: reported(int(given[1])),
    "row 14 (D4): a valid one and one that is not": lambda given: reported(given[1], "123"),
    "row 15: the function threw": lambda _: THROWN,
    "row 15: the function timed out": lambda _: Errored(Outcome.TIMEOUT, "Task timed out after 3.00 seconds"),
}


@pytest.mark.parametrize(("row", "script"), FAILURES.items(), ids=FAILURES.keys())
def test_an_answer_of_full_failure(rig_of: Make, row: str, script: Callable[[Sequence[str]], Reply]) -> None:
    async def main() -> None:
        rig = rig_of(script, reports_failures=True, maximum_retry_attempts=1)
        numbers = rig.stream.put(3)
        async with rig.running(30.0):
            pass
        assert rig.function.calls == [numbers, numbers]
        (document,) = rig.documents
        assert document["requestContext"]["approximateInvokeCount"] == 2
        unhandled = "Unhandled" if row.startswith("row 15") else None
        assert document["responseContext"]["functionError"] == unhandled
        assert document["responseContext"]["statusCode"] == 200
        assert (await rig.checkpoint()).at == int(numbers[-1])

    play(main())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_row_16_valid_identifiers_are_partial_and_the_lowest_cuts(rig_of: Make, place: int) -> None:
    """What comes before it is done; with it, all behind it comes again, though only it was reported."""

    async def main() -> None:
        answers = iter([NULL])

        def script(given: Sequence[str]) -> Reply:
            return reported(*reversed(given[place:])) if len(rig.function.calls) == 1 else next(answers)

        rig = rig_of(script, reports_failures=True, maximum_retry_attempts=1)
        numbers = rig.stream.put(3)
        async with rig.running(10.0):
            pass
        assert (rig.function.calls, rig.documents) == ([numbers, numbers[place:]], [])

    play(main())


def test_without_reporting_the_body_is_ignored(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(lambda given: reported(given[0]))
        numbers = rig.stream.put(3)
        async with rig.running(10.0):
            pass
        assert rig.function.calls == [numbers]

    play(main())


# Counts


@pytest.mark.parametrize("retries", [0, 1, 2, 3])
def test_n_retries_are_n_and_one_deliveries_and_the_document_counts_them(rig_of: Make, retries: int) -> None:
    async def main() -> None:
        rig = rig_of(lambda _: THROWN, maximum_retry_attempts=retries)
        numbers = rig.stream.put(2)
        async with rig.running(60.0):
            pass
        assert rig.function.calls == [numbers] * (retries + 1)
        context = rig.documents[0]["requestContext"]
        assert (context["condition"], context["approximateInvokeCount"]) == ("RetryAttemptsExhausted", retries + 1)

    play(main())


def test_a_partial_answer_begins_the_count_anew(rig_of: Make) -> None:
    """Batches of 3, 3 retries, the last of six records always fails: 5 deliveries of it, and a count of 4."""

    async def main() -> None:
        numbers: list[str] = []
        rig = rig_of(
            lambda given: reported(numbers[5]) if numbers[5] in given else NULL,
            reports_failures=True, maximum_retry_attempts=3, batch_size=3,
        )  # fmt: skip
        numbers += rig.stream.put(6)
        async with rig.running(60.0):
            pass
        assert rig.function.calls == [numbers[:3], numbers[3:], *([numbers[5:]] * 4)]
        (document,) = rig.documents
        assert document["requestContext"]["approximateInvokeCount"] == 4
        assert document["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": None,
        }
        assert info_of(document)["batchSize"] == 1

    play(main())


def test_what_never_reached_the_function_is_not_counted(rig_of: Make) -> None:
    async def main() -> None:
        refusals = [Refused(outcome, "no") for outcome in list(Outcome) if outcome in REFUSALS]
        answers: list[Reply] = [*refusals * 3, THROWN]
        rig = rig_of(lambda _: answers.pop(0), maximum_retry_attempts=0)
        rig.stream.put(1)
        async with rig.running(3_600.0):
            pass
        assert len(rig.function.calls) == 10
        assert rig.documents[0]["requestContext"]["approximateInvokeCount"] == 1

    play(main())


REFUSALS = {Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.UNREACHABLE}


# Age


def test_only_what_is_too_old_is_cut_off_and_the_young_rest_is_delivered(rig_of: Make) -> None:
    """One expired and five fresh records: the function gets the five, the destination a batch of one."""

    async def main() -> None:
        rig = rig_of(lambda _: NULL, maximum_record_age=60.0, maximum_retry_attempts=0)
        old = rig.stream.put(1)
        await asyncio.sleep(90.0)
        young = rig.stream.put(5)
        async with rig.running(100.0):
            pass
        assert rig.function.calls == [young]
        (document,) = rig.documents
        assert (document["requestContext"]["condition"], info_of(document)["batchSize"]) == (
            "RecordAgeExceeded",
            1,
        )
        assert info_of(document)["startSequenceNumber"] == old[0]
        assert document["requestContext"]["approximateInvokeCount"] == 1
        assert "responseContext" not in document

    play(main())


def test_a_batch_expires_between_two_tries_and_the_document_counts_them(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(lambda _: THROWN, maximum_record_age=60.0)
        numbers = rig.stream.put(2)
        async with rig.running(200.0):
            pass
        (document,) = rig.documents
        assert rig.function.calls == [numbers] * document["requestContext"]["approximateInvokeCount"]
        assert document["requestContext"]["condition"] == "RecordAgeExceeded"
        assert len(rig.function.calls) > 4
        assert "responseContext" not in document

    play(main())


# Bisect


def test_halves_are_sent_in_order_and_cost_no_retry(rig_of: Make) -> None:
    async def main() -> None:
        numbers: list[str] = []
        rig = rig_of(lambda given: THROWN if numbers[3] in given else NULL, bisect=True, maximum_retry_attempts=1)
        numbers += rig.stream.put(5)
        async with rig.running(60.0):
            pass
        one, two, three, four, five = numbers
        assert rig.function.calls == [
            numbers, [one, two], [three, four, five], [three], [four, five], [four], [four], [five],
        ]  # fmt: skip
        (document,) = rig.documents
        assert (info_of(document)["batchSize"], info_of(document)["startSequenceNumber"]) == (1, four)
        assert document["requestContext"]["approximateInvokeCount"] == 2

    play(main())


def test_a_first_record_that_is_reported_is_halved_away_from_the_rest(rig_of: Make) -> None:
    async def main() -> None:
        numbers: list[str] = []
        rig = rig_of(
            lambda given: reported(numbers[0]) if numbers[0] in given else NULL,
            bisect=True, reports_failures=True, maximum_retry_attempts=0,
        )  # fmt: skip
        numbers += rig.stream.put(4)
        async with rig.running(60.0):
            pass
        one, two, *rest = numbers
        assert rig.function.calls == [numbers, [one, two], [one], [two], rest]
        assert [info_of(document)["batchSize"] for document in rig.documents] == [1]

    play(main())


# Documents


def test_the_document_has_awss_members_in_awss_order(rig_of: Make) -> None:
    """`responseContext` and all; times of Kinesis to the millisecond, of DynamoDB to the second."""

    async def main() -> None:
        await asyncio.sleep(0.25)
        rig = rig_of(lambda _: THROWN, maximum_retry_attempts=0)
        numbers = rig.stream.put(2)
        async with rig.running(10.0):
            pass
        (document,) = rig.documents
        named = "KinesisBatchInfo" if "KinesisBatchInfo" in document else "DDBStreamBatchInfo"
        assert list(document) == ["requestContext", "responseContext", "version", "timestamp", named]
        assert list(document["requestContext"].items()) == [
            ("requestId", "c9b8fa9f"),
            ("functionArn", FUNCTION),
            ("condition", "RetryAttemptsExhausted"),
            ("approximateInvokeCount", 1),
        ]
        assert list(document["responseContext"].items()) == [
            ("statusCode", 200),
            ("executedVersion", "$LATEST"),
            ("functionError", "Unhandled"),
        ]
        assert document["version"] == "1.0"
        assert len(document["timestamp"]) == len("2019-11-14T00:38:06.021Z")
        arrived = "2023-11-14T22:13:20.250Z" if named == "KinesisBatchInfo" else "2023-11-14T22:13:20Z"
        info = dict(info_of(document))
        assert info.pop("shardId").startswith("shardId-0")
        assert info.pop("streamArn").startswith("arn:aws:")
        assert list(info.items()) == [
            ("startSequenceNumber", numbers[0]),
            ("endSequenceNumber", numbers[1]),
            ("approximateArrivalOfFirstRecord", arrived),
            ("approximateArrivalOfLastRecord", arrived),
            ("batchSize", 2),
        ]

    assert EPOCH == 1_700_000_000.0
    play(main())


def test_the_document_is_out_before_the_position_moves(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(lambda _: THROWN, maximum_retry_attempts=0)
        rig.destination.takes = 5.0
        numbers = rig.stream.put(2)
        async with rig.running(20.0):
            pass
        (told, notice) = rig.destination.notices[0]
        moved = [
            at for at, row in rig.store.written if row.checkpoint and row.checkpoint.at is not None and row.counter
        ]
        assert numbers_of(notice.event) == numbers
        assert 5.0 <= told <= moved[0]

    play(main())


def info_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    info: Mapping[str, Any] = document.get("KinesisBatchInfo") or document["DDBStreamBatchInfo"]
    return info
