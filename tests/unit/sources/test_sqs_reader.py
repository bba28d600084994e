"""Receiving, keeping and giving back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqs_stub import ARN, URL, StubSqs, a_message, a_source, client_error, records, unreachable

from esm.errors import Disconnected, OverLimit
from esm.model import Backlog, Finding, Lane, Page, Terms
from esm.ports import Checkable, Measured
from esm.sources.sqs.reader import SqsReader
from esm.testing.loop import run

Use = Callable[[SqsReader], Coroutine[Any, Any, Any]]


def use(sqs: StubSqs, body: Use, **source: Any) -> Any:
    async def main() -> Any:
        async with a_source(sqs, **source).open(Lane("orders")) as reader:
            return await body(reader)

    return run(main())


def received(sqs: StubSqs) -> list[dict[str, Any]]:
    return [arguments for operation, arguments in sqs.calls if operation == "ReceiveMessage"]


def test_a_page_holds_the_messages_in_order_numbered_without_gaps() -> None:
    sqs = StubSqs()
    sqs.messages.extend([[a_message(1), a_message(2)], [a_message(3)]])

    async def body(reader: SqsReader) -> list[Any]:
        return [*(await reader.read(10, 20)).records, *(await reader.read(10, 20)).records]

    got = use(sqs, body)
    assert [record.seq for record in got] == [0, 1, 2]
    assert [(record.id, record.handle) for record in got] == [("m1", "r1"), ("m2", "r2"), ("m3", "r3")]
    assert got[0].arrived == 1545082649.183
    assert got[0].read == pytest.approx(0.03, abs=0.001)


def test_a_receive_asks_for_everything_that_the_event_shows() -> None:
    sqs = StubSqs()
    use(sqs, lambda reader: reader.read(25, 99.9))
    assert received(sqs) == [
        {
            "QueueUrl": URL,
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": 20,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
    ]


@pytest.mark.parametrize(("wait", "asked"), [(0.0, 0), (0.9, 0), (1.0, 1), (1.9, 1), (20.0, 20)])
def test_a_wait_is_never_longer_than_asked(wait: float, asked: int) -> None:
    sqs = StubSqs()
    use(sqs, lambda reader: reader.read(1, wait))
    assert received(sqs)[0]["WaitTimeSeconds"] == asked


def test_a_long_poll_is_no_longer_than_the_option_says() -> None:
    sqs = StubSqs()
    use(sqs, lambda reader: reader.read(1, 20.0), longest_wait=7)
    assert received(sqs)[0]["WaitTimeSeconds"] == 7


def test_a_group_orders_only_on_a_fifo_queue() -> None:
    message = a_message(Attributes={"MessageGroupId": "a", "SentTimestamp": "1"})
    for fifo, key in [(True, "a"), (False, None)]:
        sqs = StubSqs()
        sqs.messages.append([message])
        page: Page = use(sqs, lambda reader: reader.read(1, 1), fifo=fifo)
        assert page.records[0].key == key


def test_a_message_without_its_time_arrived_now() -> None:
    sqs = StubSqs()
    sqs.messages.append([a_message(Attributes={})])
    assert use(sqs, lambda reader: reader.read(1, 1)).records[0].arrived == 1_000_000.0


def test_a_message_too_large_for_any_invocation_is_rejected_alone() -> None:
    sqs = StubSqs()
    sqs.messages.append([a_message(0), a_message(1, Body='"' * (3 * 1024 * 1024)), a_message(2)])
    page: Page = use(sqs, lambda reader: reader.read(10, 1))
    assert [record.id for record in page.records] == ["m0", "m2"]
    (rejected,) = page.rejected
    assert rejected.record.id == "m1"
    assert rejected.record.seq == 1
    assert "alone takes 6,291,761 bytes" in rejected.why


def test_what_is_no_message_is_rejected_alone() -> None:
    sqs = StubSqs()
    sqs.messages.append([a_message(1), {"Body": "no id"}, a_message(3)])
    page = use(sqs, lambda reader: reader.read(10, 1))
    assert [record.id for record in page.records] == ["m1", "m3"]
    assert [each.record.seq for each in page.rejected] == [1]


def test_an_answer_that_is_no_page_is_a_disconnection() -> None:
    sqs = StubSqs()
    sqs.messages.append(5)  # type: ignore[arg-type]
    with pytest.raises(Disconnected) as caught:
        use(sqs, lambda reader: reader.read(1, 1))
    assert caught.value.code == "Unknown"


def test_too_much_in_flight_is_back_pressure() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        sqs.raises.append(client_error("AWS.SimpleQueueService.OverLimit"))
        with pytest.raises(OverLimit):
            await reader.read(1, 1)

    use(sqs, body)


# Attempts


async def _failing(reader: SqsReader, sqs: StubSqs, error: Exception, limit: int = 5) -> None:
    sqs.raises.append(error)
    with pytest.raises(Disconnected):
        await reader.read(limit, 1)


def attempts(sqs: StubSqs) -> list[tuple[str, int]]:
    return [(call["ReceiveRequestAttemptId"], call["MaxNumberOfMessages"]) for call in received(sqs)]


def test_a_receive_whose_answer_was_lost_is_repeated_as_it_was() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        await _failing(reader, sqs, unreachable())
        await reader.read(10, 1)
        await reader.read(10, 1)

    use(sqs, body, fifo=True)
    assert attempts(sqs) == [("id-1", 5), ("id-1", 5), ("id-2", 10)]


def test_a_lost_receive_is_not_repeated_into_less_room() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        await _failing(reader, sqs, unreachable())
        await reader.read(4, 1)
        await reader.read(5, 1)

    use(sqs, body, fifo=True)
    assert attempts(sqs) == [("id-1", 5), ("id-2", 4), ("id-1", 5)]


def test_an_attempt_that_was_answered_is_not_repeated() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        await _failing(reader, sqs, client_error("InvalidParameterValue"))
        await reader.read(5, 1)

    use(sqs, body, fifo=True)
    assert [id_ for id_, _ in attempts(sqs)] == ["id-1", "id-2"]


def test_an_attempt_is_repeated_for_five_minutes_only() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        await _failing(reader, sqs, unreachable())
        await asyncio.sleep(301)
        await reader.read(5, 1)

    use(sqs, body, fifo=True)
    assert [id_ for id_, _ in attempts(sqs)] == ["id-1", "id-2"]


def test_parallel_receives_have_attempts_of_their_own() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(reader.read(5, 1))

    use(sqs, body, fifo=True)
    assert len({id_ for id_, _ in attempts(sqs)}) == 4


# Keeping and giving back


def test_extends_in_tens_by_whole_seconds() -> None:
    sqs = StubSqs()
    batch = records(25)
    assert use(sqs, lambda reader: reader.extend(batch, 30.2)) == []
    assert sqs.changed == {record.handle: 31 for record in batch}
    assert sorted(map(len, sqs.lots)) == [5, 10, 10]


def test_never_asks_for_more_than_twelve_hours() -> None:
    sqs = StubSqs()
    use(sqs, lambda reader: reader.extend(records(1), 1e6))
    assert sqs.changed == {"r0": 43_200}


@pytest.mark.parametrize(
    "code",
    [
        "AWS.SimpleQueueService.MessageNotInflight",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
    ],
)
def test_tells_what_is_not_ours_any_more(code: str) -> None:
    sqs = StubSqs()
    batch = records(12)
    sqs.fails("r11", code, sender=True)
    assert use(sqs, lambda reader: reader.extend(batch, 30)) == [batch[11]]


def test_a_passing_failure_to_extend_is_tried_again() -> None:
    sqs = StubSqs()
    sqs.fails("r1", "InternalError", times=2)
    assert use(sqs, lambda reader: reader.extend(records(3), 30)) == []
    assert set(sqs.changed) == {"r0", "r1", "r2"}


def test_an_entry_that_sqs_never_changes_is_not_ours_and_the_others_are() -> None:
    sqs = StubSqs()
    sqs.fails("r1", "InternalError", times=3)
    lost = use(sqs, lambda reader: reader.extend(records(3), 30))
    assert [record.id for record in lost] == ["m1"]


def test_an_unreachable_queue_is_asked_a_few_times_not_for_every_record() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        sqs.raises.extend([unreachable()] * 1000)
        with pytest.raises(Disconnected) as caught:
            await reader.extend(records(1000), 30)
        assert caught.value.code == "unreachable"

    use(sqs, body)
    assert len(sqs.lots) <= 24


def test_denied_access_is_asked_once_per_call_in_parallel() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        sqs.raises.append(client_error("AccessDenied"))
        with pytest.raises(Disconnected) as caught:
            await reader.extend(records(5), 30)
        assert caught.value.lasting

    use(sqs, body)
    assert len(sqs.lots) == 1


def test_untried_become_visible_now_and_failed_are_not_touched() -> None:
    sqs = StubSqs()
    batch = records(3)
    use(sqs, lambda reader: reader.settle(batch[:1], batch[1:2], batch[2:]))
    assert sqs.deleted == ["r0"]
    assert sqs.changed == {"r2": 0}


def test_giving_back_is_best_effort() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> None:
        sqs.raises.extend([client_error("AccessDenied")])
        await reader.settle((), (), records(1))

    use(sqs, body)
    assert sqs.changed == {}


# The queue


def test_the_queue_tells_its_terms_again_with_its_backlog() -> None:
    sqs = StubSqs()

    async def body(reader: SqsReader) -> tuple[Terms, Backlog, Terms]:
        before = reader.terms
        sqs.attributes |= {
            "VisibilityTimeout": "45",
            "MessageRetentionPeriod": "60",
            "ApproximateNumberOfMessages": "7",
            "ApproximateNumberOfMessagesNotVisible": "2",
        }
        return before, await reader.backlog(), reader.terms

    before, backlog, after = use(sqs, body)
    assert before == Terms(visibility=30, longest=43_200, retention=345_600, page=10)
    assert backlog == Backlog(7, 2)
    assert after == Terms(visibility=45, longest=43_200, retention=60, page=10)


def test_what_a_server_does_not_count_is_not_known() -> None:
    assert use(StubSqs(), lambda reader: reader.backlog()) == Backlog(None, None)


def test_the_queue_is_looked_up_under_its_account() -> None:
    sqs = StubSqs()
    use(sqs, lambda reader: reader.read(1, 0))
    assert sqs.calls[0] == ("GetQueueUrl", {"QueueName": "orders", "QueueOwnerAWSAccountId": "123456789012"})


def test_reader_and_source_offer_what_they_can() -> None:
    async def body(reader: SqsReader) -> bool:
        return isinstance(reader, Measured)

    assert use(StubSqs(), body)
    assert isinstance(a_source(StubSqs()), Checkable)


def test_a_check_remarks_on_settings_that_hurt() -> None:
    sqs = StubSqs()
    sqs.attributes |= {"VisibilityTimeout": "0"}
    findings = run(_check(sqs))
    assert [finding.broken for finding in findings] == [False, False]
    assert "no redrive policy" in findings[0].text
    assert "visibility timeout of 0" in findings[1].text


def test_a_check_finds_nothing_wrong_with_a_sound_queue() -> None:
    sqs = StubSqs()
    sqs.attributes |= {"RedrivePolicy": '{"deadLetterTargetArn":"a","maxReceiveCount":"5"}'}
    assert run(_check(sqs)) == ()


def test_a_check_of_a_missing_queue_is_broken_in_awss_words() -> None:
    sqs = StubSqs()
    sqs.raises.append(client_error("QueueDoesNotExist"))
    (finding,) = run(_check(sqs))
    assert finding == Finding(
        broken=True,
        text="Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        f"SQS Error Message: The specified queue does not exist. ({ARN})",
    )


async def _check(sqs: StubSqs) -> Any:
    return await a_source(sqs).check()
