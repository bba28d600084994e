"""The benchmarks' own account must be able to fail, and must balance for the loops that are right."""

import asyncio
import dataclasses

import aiohttp
import orjson
import pytest

from benchmarks.bench import Account, Bench, Queue, bench
from benchmarks.bodies import body
from benchmarks.catalog import COMPARED
from benchmarks.contenders import CONTENDERS, Terms, available
from benchmarks.figures import Sample, percentile, ratio, steady
from benchmarks.memory import MemoryLoad, Peaks
from benchmarks.report import table
from benchmarks.scenarios import Backlog, Trickle, empty, trickle
from benchmarks.standard_queue import SqsError, StandardQueue
from benchmarks.wire import RequestReader

FEW = Terms(concurrency=4)
SMALL = Backlog(300, FEW)
GATHERED = Backlog(600, Terms(batch=100, concurrency=2, window=1))
OFFERED = Backlog(100, Terms(batch=1, concurrency=4), offered=500)
SLOW = Trickle(rate=40, seconds=1, terms=FEW)


def names() -> list[str]:
    return [name for name in CONTENDERS if available(name)]


@pytest.mark.parametrize("name", names())
async def test_a_backlog_is_delivered_and_deleted(name: str) -> None:
    run = await empty(CONTENDERS[name], SMALL)
    assert run.account.balanced, run.account
    assert run.account.sent == SMALL.messages
    assert (run.figures["cpu_per_1000_whole_run"] or 0) > 0
    assert f"| {name} |" in table("sqs-throughput", COMPARED["sqs-throughput"], {name: [run]})


@pytest.mark.parametrize("load", [GATHERED, OFFERED], ids=["in batches of 100", "offered one by one"])
@pytest.mark.parametrize("name", names())
async def test_a_backlog_is_emptied_under_other_terms(name: str, load: Backlog) -> None:
    run = await empty(CONTENDERS[name], load)
    assert run.account.balanced, run.account
    assert run.account.sent == load.messages


@pytest.mark.parametrize("name", names())
async def test_a_trickle_is_timed_from_send_to_target(name: str) -> None:
    run = await trickle(CONTENDERS[name], SLOW)
    assert run.account.balanced, run.account
    assert run.figures["count"] == SLOW.rate * SLOW.seconds
    assert 0 < (run.figures["p50_ms"] or 0) <= (run.figures["p99_ms"] or 0)


async def test_a_target_fails_when_told_to_and_writes_nothing_down() -> None:
    async with bench(0.0) as around:
        queue = await around.create_queue("q")
        await around.preload(queue, 20, 256)
        await around.fail(500)
        with pytest.raises(aiohttp.ClientResponseError, match="500"):
            await post(around, queue, await receive(around, queue))
        await around.fail(200)
        await post(around, queue, await receive(around, queue))
        assert await around.seen("shares") == {queue.arn: 10}
        assert len(await around.seen("arrivals")) == 1


async def receive(around: Bench, queue: Queue, **options: object) -> list[dict[str, str]]:
    asked = {"QueueUrl": queue.url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"]}
    answer = await around.sqs("ReceiveMessage", **asked, **options)
    messages: list[dict[str, str]] = answer.get("Messages", [])
    return messages


async def delete(around: Bench, queue: Queue, messages: list[dict[str, str]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    await around.sqs("DeleteMessageBatch", QueueUrl=queue.url, Entries=entries)


async def post(around: Bench, queue: Queue, messages: list[dict[str, str]], **changed: object) -> None:
    records = [
        {
            "messageId": m["MessageId"],
            "receiptHandle": m["ReceiptHandle"],
            "body": m["Body"],
            "attributes": m["Attributes"],
            "messageAttributes": {},
            "md5OfBody": m["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": queue.arn,
            "awsRegion": "us-east-1",
            **changed,
        }
        for m in messages
    ]
    event = orjson.dumps({"Records": records})
    async with around.http.post(around.invoke_url, data=event, raise_for_status=True) as answer:
        assert await answer.json() == {}


async def test_the_account_names_what_is_wrong() -> None:
    """Each way to cheat: delete without delivering, deliver without deleting, alter, invent."""
    async with bench(0.0) as around:
        queue = await around.create_queue("q")
        await around.preload(queue, 40, 256)
        await delete(around, queue, await receive(around, queue))
        await post(around, queue, await receive(around, queue))
        altered = await receive(around, queue)
        await post(around, queue, altered, body="{}")
        await delete(around, queue, altered)
        invented = await receive(around, queue)
        await post(around, queue, invented, messageId="invented")
        account = await around.account()
    assert not account.balanced
    assert (account.sent, account.deleted) == (40, 20)
    assert (account.missing, account.malformed, account.unexpected) == (30, 10, 1)


@pytest.mark.parametrize(
    "wrong", [{"sent": 11}, {"deleted": 9}, {"missing": 1}, {"unexpected": 1}, {"malformed": 1}]
)
def test_any_single_error_unbalances_the_account(wrong: dict[str, int]) -> None:
    account = Account(sent=10, deleted=10, missing=0, unexpected=0, malformed=0, redelivered=3)
    assert account.balanced
    assert not dataclasses.replace(account, **wrong).balanced


async def test_a_long_poll_is_answered_by_a_send_and_by_a_message_that_comes_back() -> None:
    async with bench(0.0) as around:
        queue = await around.create_queue("q")
        async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
            poll = tasks.create_task(receive(around, queue, WaitTimeSeconds=20, VisibilityTimeout=1))
            while not (await around.queue_totals())["waiting"]:
                pass
            await around.sqs("SendMessage", QueueUrl=queue.url, MessageBody=body(0, 0.0, 100))
            first = await poll
            second = await receive(around, queue, WaitTimeSeconds=20)
        totals = await around.queue_totals()
    assert [m["MessageId"] for m in first] == [m["MessageId"] for m in second]
    assert first[0]["ReceiptHandle"] != second[0]["ReceiptHandle"]
    assert totals["redelivered"] == 1


def filled(count: int) -> StandardQueue:
    queue = StandardQueue("q", 30)
    for number in range(count):
        queue.send(str(number), "text", 0)
    return queue


def test_a_message_comes_back_when_its_visibility_ends() -> None:
    queue = filled(1)
    (first,) = queue.take(10, 30, 100.0, 1)
    assert queue.take(10, 30, 129.9, 1) == []
    assert (queue.in_flight(129.9), queue.in_flight_bytes) == (1, 4)
    assert [m.receives for m in queue.take(10, 30, 130.0, 1)] == [2]
    assert first.first_received_ms == 1


def test_an_extension_outlives_the_first_timer() -> None:
    queue = filled(1)
    (message,) = queue.take(1, 30, 0.0, 1)
    queue.change_visibility(message.handle, 30, 20.0)
    assert queue.visible(30.0) == 0
    assert queue.visible(50.0) == 1
    with pytest.raises(SqsError):
        queue.change_visibility(message.handle, 30, 50.0)


def test_the_handle_of_an_earlier_receive_deletes_nothing() -> None:
    queue = filled(1)
    (message,) = queue.take(1, 1, 0.0, 1)
    old = message.handle
    queue.take(1, 30, 1.0, 1)
    queue.delete(old)
    assert (queue.totals.deleted, queue.totals.stale) == (0, 1)
    queue.delete(message.handle)
    queue.delete(message.handle)
    assert (queue.totals.deleted, queue.in_flight_bytes) == (1, 0)


def test_a_late_delete_of_a_message_that_is_visible_again_holds() -> None:
    queue = filled(1)
    (message,) = queue.take(1, 1, 0.0, 1)
    assert queue.visible(1.0) == 1
    queue.delete(message.handle)
    assert queue.take(1, 1, 1.0, 1) == []
    assert queue.in_flight_bytes == 0


def test_requests_are_cut_from_any_pieces() -> None:
    raw = b"POST /a HTTP/1.1\r\nX-Amz-Target: AmazonSQS.SendMessage\r\ncontent-length: 2\r\n\r\n{}" * 2
    reader = RequestReader()
    seen = [request for n in range(len(raw)) for request in reader.feed(raw[n : n + 1])]
    assert [(r.path, r.operation, r.body) for r in seen] == [("/a", "SendMessage", b"{}")] * 2


def test_a_body_has_the_size_that_was_asked_for() -> None:
    text = body(7, 1.25, 1024)
    assert len(text) == 1024
    assert orjson.loads(text)["n"] == 7


def test_the_window_leaves_out_start_and_tail() -> None:
    samples = [Sample(t, t * 10, t * 0.5, 0, 0.0, 0.0) for t in range(11)]
    window = steady(samples, 100)
    assert window is not None
    assert (window.messages, window.per_second, window.cpu_per_1000) == (70, 10.0, 50.0)
    assert steady(samples[:3], 100) is None


def test_percentiles_and_ratios() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert ratio([2.0, None, 9.0], [1.0, 1.0, 3.0]) == 2.5


def test_memory_over_the_limit_fails() -> None:
    load = MemoryLoad()
    good = Peaks(held=load.limit, in_flight=load.limit, idle_rss=1, rss=load.limit, mappings_served=200)
    assert all(verdict.passed for verdict in good.verdicts(load))
    for wrong in (
        {"held": load.limit + 1},
        {"held": 0},
        {"in_flight": load.limit + 1},
        {"rss": load.limit * 4},
        {"mappings_served": 199},
        {"redelivered": 1},
        {"expired": 1},
    ):
        assert not all(verdict.passed for verdict in dataclasses.replace(good, **wrong).verdicts(load)), wrong
