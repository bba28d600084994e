"""The SQS source on real servers: what the function sees, and what an operator is told."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqs_relay import relaying

from esm.errors import Disconnected
from esm.model import Record
from esm.plugins import SourceContext
from esm.ports import Checkable
from esm.sources.sqs import PLUGIN, SqsSource
from esm.testing.queue.bench import gather, opened
from esm.world import real_world
from servers import Queue, QueueMaker, Server

NO_ATTEMPTS = "ministack ignores ReceiveRequestAttemptId: the messages of a lost answer stay hidden"


def source(endpoint_url: str | None, *, window: float = 0, **options: Any) -> SqsSource:
    context = SourceContext("test", {"endpoint_url": endpoint_url}, window, real_world())
    made = PLUGIN.make(PLUGIN.options.model_validate(options), context)
    assert isinstance(made, SqsSource)
    return made


def event(made: SqsSource, records: list[Record]) -> dict[str, Any]:
    return json.loads(made.codec.render(records))  # type: ignore[no-any-return]


async def test_event_of_a_standard_queue(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any]
) -> None:
    queue = make_queue(sqs_server.endpoint_url)
    sent = boto_sqs(sqs_server.endpoint_url).send_message(
        QueueUrl=queue.url,
        MessageBody='{"a": "ü\\n\U0001f600"}',
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "ü"},
            "number": {"DataType": "Number", "StringValue": "6"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01\xff"},
        },
    )
    made = source(sqs_server.endpoint_url, arn=queue.arn)
    async with opened(made) as reader:
        records = await gather(reader, 1)
    (message,) = event(made, records)["Records"]
    assert list(message) == [
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfMessageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    ]
    assert message["messageId"] == sent["MessageId"] == records[0].id
    assert message["body"] == '{"a": "ü\\n\U0001f600"}'
    assert message["md5OfBody"] == sent["MD5OfMessageBody"]
    assert message["md5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["messageAttributes"]["bytes"] == {
        "binaryValue": "AAH/",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "Binary",
    }
    assert message["messageAttributes"]["number"]["stringValue"] == "6"
    assert message["attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(records[0].arrived - time.time()) < 60
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} < set(message["attributes"])
    assert (message["eventSource"], message["eventSourceARN"]) == ("aws:sqs", queue.arn)
    assert message["awsRegion"] == "us-east-1"


@pytest.mark.parametrize(("window", "expected"), [(0, "absent"), (5, None)])
async def test_md5_without_attributes_depends_on_the_window(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any], window: float, expected: str | None
) -> None:
    queue = make_queue(sqs_server.endpoint_url)
    boto_sqs(sqs_server.endpoint_url).send_message(QueueUrl=queue.url, MessageBody="x")
    made = source(sqs_server.endpoint_url, arn=queue.arn, window=window)
    async with opened(made) as reader:
        (message,) = event(made, await gather(reader, 1))["Records"]
    assert message.get("md5OfMessageAttributes", "absent") == expected


async def test_event_of_a_fifo_queue(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any]
) -> None:
    queue = make_queue(sqs_server.endpoint_url, fifo=True)
    boto_sqs(sqs_server.endpoint_url).send_message(
        QueueUrl=queue.url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d"
    )
    made = source(sqs_server.endpoint_url, arn=queue.arn)
    async with opened(made) as reader:
        records = await gather(reader, 1)
    attributes = event(made, records)["Records"][0]["attributes"]
    assert (attributes["MessageGroupId"], attributes["MessageDeduplicationId"]) == ("g", "d")
    assert attributes["SequenceNumber"]
    assert records[0].key == "g"


async def test_a_queue_by_its_url_needs_nothing_else(sqs_server: Server, make_queue: QueueMaker) -> None:
    queue = make_queue(sqs_server.endpoint_url)
    (finding,) = await source(None, queue_url=f"{sqs_server.endpoint_url}/000000000000/{queue.name}").check()
    assert finding.text.startswith(f"{queue.arn} has no redrive policy")


async def test_a_queue_with_a_redrive_policy_is_sound(sqs_server: Server, make_queue: QueueMaker) -> None:
    queue = make_queue(sqs_server.endpoint_url, visibility=45, max_receives=3)
    assert await source(sqs_server.endpoint_url, arn=queue.arn).check() == ()


async def test_a_queue_is_compared_with_its_mapping(sqs_server: Server, make_queue: QueueMaker) -> None:
    queue = make_queue(sqs_server.endpoint_url, fifo=True, visibility=45, max_receives=3)
    context = SourceContext(
        "test", {"endpoint_url": sqs_server.endpoint_url}, 0, real_world(), timeout=46.0, held=20_001
    )
    made = PLUGIN.make(PLUGIN.options.model_validate({"arn": queue.arn}), context)
    assert isinstance(made, Checkable)
    short, many = await made.check()
    assert "is 45 s, shorter than the target's timeout of 46 s" in short.text
    assert "lets 20,000 messages" in many.text


async def test_a_queue_without_one_is_remarked_on(sqs_server: Server, make_queue: QueueMaker) -> None:
    queue = make_queue(sqs_server.endpoint_url)
    (finding,) = await source(sqs_server.endpoint_url, arn=queue.arn).check()
    assert not finding.broken
    assert "redrive policy" in finding.text


async def test_a_missing_queue_is_told_in_awss_words(sqs_server: Server) -> None:
    missing = source(sqs_server.endpoint_url, arn="arn:aws:sqs:us-east-1:000000000000:nobody-made-this")
    (finding,) = await missing.check()
    assert finding.broken
    assert finding.text == (
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist. "
        "(arn:aws:sqs:us-east-1:000000000000:nobody-made-this)"
    )


async def test_a_queue_deleted_under_the_reader_is_a_disconnection(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any]
) -> None:
    queue = make_queue(sqs_server.endpoint_url)
    async with opened(source(sqs_server.endpoint_url, arn=queue.arn)) as reader:
        boto_sqs(sqs_server.endpoint_url).delete_queue(QueueUrl=queue.url)
        with pytest.raises(Disconnected) as caught:
            await reader.read(10, 1)
    assert (caught.value.code, caught.value.lasting) == ("NonExistentQueue", True)


async def test_nobody_listening_is_unreachable() -> None:
    made = source("http://127.0.0.1:1", arn="arn:aws:sqs:us-east-1:000000000000:orders")
    (finding,) = await made.check()
    assert finding.text == "cannot connect to SQS at 127.0.0.1:1: connection refused"


async def test_a_role_is_assumed_where_the_emulator_is(ministack: Server, make_queue: QueueMaker) -> None:
    queue = make_queue(ministack.endpoint_url)
    role = {"role_arn": "arn:aws:iam::000000000000:role/engine", "endpoint_url": ministack.endpoint_url}
    (finding,) = await source(None, arn=queue.arn, aws=role).check()
    assert not finding.broken


@asynccontextmanager
async def through_relay(server: Server, queue: Queue) -> Any:
    async with relaying(server.endpoint_url) as relay, opened(source(relay.url, arn=queue.arn)) as reader:
        yield relay, reader


async def test_a_lost_answer_of_a_fifo_receive_is_no_hidden_batch(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any], request: pytest.FixtureRequest
) -> None:
    if sqs_server.name == "ministack":
        request.applymarker(pytest.mark.xfail(reason=NO_ATTEMPTS, strict=True, raises=AssertionError))
    queue = make_queue(sqs_server.endpoint_url, fifo=True, visibility=60)
    for number in range(3):
        boto_sqs(sqs_server.endpoint_url).send_message(
            QueueUrl=queue.url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId=str(number)
        )
    async with through_relay(sqs_server, queue) as (relay, reader):
        relay.lose("ReceiveMessage", times=2)  # the client's own retry meets it too
        with pytest.raises(Disconnected) as caught:
            await reader.read(10, 1)
        assert caught.value.code == "unreachable"
        page = await reader.read(10, 1)
    assert len(page.records) == 3


async def test_a_lost_answer_of_a_delete_is_deleted_all_the_same(
    sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any]
) -> None:
    queue = make_queue(sqs_server.endpoint_url, visibility=60)
    for _ in range(3):
        boto_sqs(sqs_server.endpoint_url).send_message(QueueUrl=queue.url, MessageBody="x")
    async with through_relay(sqs_server, queue) as (relay, reader):
        records = await gather(reader, 3)
        relay.lose("DeleteMessageBatch", times=2)
        async with asyncio.timeout(20):
            settlement = await reader.settle(records, (), ())
        backlog = await reader.backlog()
    assert settlement.deleted + len(settlement.undeleted) == 3
    assert (backlog.visible, backlog.in_flight) == (0, 0)
