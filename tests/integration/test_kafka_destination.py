"""A topic as destination, at brokers: what they have afterwards, and what is said when they do not take it."""

import asyncio
import json
import threading
import uuid
from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition
from kafka_members import member, source_of, until

from esm.destinations.kafka import PLUGIN
from esm.errors import Undeliverable
from esm.model import Errored, Notice, Outcome
from esm.plugins import DestinationContext
from esm.ports import Checkable, Destination
from esm.runtime.lane_happenings import Committed, DestinationFailed, Dropped, LaneStarted
from esm.runtime.plan import DestinationPlan
from servers import KafkaCluster, MockKafka, Server
from servers.kafka_mock import Request
from servers.kafka_secured import PASSWORDS, SecuredKafka
from servers.topics import Topic, TopicMaker

PARTITIONS = 3
ALL_THREE = {"min.insync.replicas": "3"}
GIVEN_UP: dict[str, Any] = {"maximum_retry_attempts": 0, "batch_size": 1, "checkpoint_interval": 0.1}


def opened(address: str, topic: str, **options: Any) -> AbstractAsyncContextManager[Destination]:
    given = {"bootstrap_servers": address, "topic": topic, "timeout": 5, **options}
    return PLUGIN.open(PLUGIN.options.model_validate(given), DestinationContext({}))


def notice(count: int, value: bytes = b"one") -> Notice:
    records = [
        {
            "topic": "orders",
            "partition": 0,
            "offset": number,
            "timestamp": 1573691884835,
            "timestampType": "CREATE_TIME",
            **({"key": b64encode(b"key-%d" % (number % 2)).decode()} if number % 3 else {}),
            "value": b64encode(value).decode(),
            "headers": [{"trace": [-1, number]}],
        }
        for number in range(count)
    ]
    document = {
        "requestContext": {"condition": "RetryAttemptsExhausted", "functionArn": "f", "approximateInvokeCount": 1},
        "KafkaBatchInfo": {"bootstrapServers": "b:1"},
    }
    return Notice(document, json.dumps({"records": {"orders-0": records}}).encode(), 1.0, "scope", "orders-0")


def written(topic: Topic, count: int) -> list[Message]:
    """All messages of a topic, as soon as there are so many."""
    consumer = Consumer({**topic.options, "group.id": uuid.uuid4().hex, "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic.name, number, 0) for number in range(len(topic.leaders()))])
        found: list[Message] = []
        while len(found) < count:
            found += consumer.consume(100, 0.1)
        return found
    finally:
        consumer.close()


async def test_each_record_is_there_with_its_key_on_the_keys_partition(
    kafka: Server, make_topic: TopicMaker
) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, partitions=PARTITIONS)
    async with opened(kafka.address, topic.name) as destination:
        await destination.deliver(notice(12))
        assert sum((await asyncio.to_thread(topic.ends)).values()) == 12  # by the time it returns
    found = await asyncio.to_thread(written, topic, 12)
    told = {json.loads(one.value() or b"")["KafkaBatchInfo"]["recordInfo"]["offset"]: one.key() for one in found}
    assert told == {str(n): b"key-%d" % (n % 2) if n % 3 else None for n in range(12)}
    for key in (b"key-0", b"key-1"):
        assert len({one.partition() for one in found if one.key() == key}) == 1
    for one in found:
        headers: Any = dict(one.headers() or [])
        assert headers["trace"] == b"\xff" + bytes([int(headers["esm.offset"])])


async def test_the_value_itself_is_as_it_was(kafka: Server, make_topic: TopicMaker) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, partitions=PARTITIONS)
    async with opened(kafka.address, topic.name, value="record") as destination:
        await destination.deliver(notice(2, b"\x00\xff" * 400_000))
    for one in await asyncio.to_thread(written, topic, 2):
        assert one.value() == b"\x00\xff" * 400_000


async def test_a_record_as_large_as_brokers_take_is_told_of_without_it(
    kafka: Server, make_topic: TopicMaker
) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, partitions=PARTITIONS)
    async with opened(kafka.address, topic.name) as destination:
        await destination.deliver(notice(1, b"x" * 1_000_000))
    (one,) = await asyncio.to_thread(written, topic, 1)
    assert "payload" not in json.loads(one.value() or b"")


@pytest.mark.parametrize("form", ["document", "record"])
async def test_a_topic_that_takes_less_is_told_of_it_without_data(
    kafka: Server, make_topic: TopicMaker, form: str
) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, settings={"max.message.bytes": "5000"})
    async with opened(kafka.address, topic.name, value=form) as destination:
        await destination.deliver(notice(1, b"x" * 10_000))
    (one,) = await asyncio.to_thread(written, topic, 1)
    assert "payload" not in json.loads(one.value() or b"")


async def test_a_topic_that_takes_nothing_says_so(kafka: Server, make_topic: TopicMaker) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, settings={"max.message.bytes": "100"})
    async with opened(kafka.address, topic.name) as destination:
        assert "raise max_bytes, or the topic's own" in await _refused(destination)


async def test_what_too_few_replicas_have_is_not_delivered(kafka_mock: MockKafka) -> None:
    async with opened(kafka_mock.bootstrap, "failed") as destination:
        await _taken(destination)
        kafka_mock.fail(Request.PRODUCE, *[KafkaError.NOT_ENOUGH_REPLICAS] * 1_000)
    async with opened(kafka_mock.bootstrap, "failed", timeout=1) as destination:
        assert "failed: " in await _refused(destination)
        kafka_mock.fail_no_more(Request.PRODUCE)
        await _taken(destination)


async def test_what_a_replica_lacks_is_not_given_up(kafka_cluster: KafkaCluster, make_topic: TopicMaker) -> None:
    """At three brokers of which one is gone: the record stays ours, and its position, until all have it."""
    topic = await asyncio.to_thread(make_topic, kafka_cluster.bootstrap, replicas=3)
    failed = await asyncio.to_thread(make_topic, kafka_cluster.bootstrap, replicas=3, settings=ALL_THREE)
    leading = {leader for each in (topic, failed) for leader in (await asyncio.to_thread(each.leaders)).values()}
    plans = [DestinationPlan("failed", lambda: opened(kafka_cluster.bootstrap, failed.name, timeout=1))]
    async with member(source_of(topic, "replicas"), on_failure=plans, **GIVEN_UP) as one:
        one.answer = lambda _: Errored(Outcome.FUNCTION_ERROR, "no")
        await until(lambda: one.all_told(LaneStarted))
        kafka_cluster.brokers[max({1, 2, 3} - leading)].kill()
        await asyncio.to_thread(topic.produce, [b"x", b"y"])
        await until(lambda: len(one.all_told(DestinationFailed)) == 2)
        assert not one.all_told(Dropped)
        assert {told.at for told in one.all_told(Committed)} <= {-1}
        await asyncio.to_thread(kafka_cluster.heal)
        await until(lambda: len(one.all_told(Dropped)) == 2)
    assert (await asyncio.to_thread(topic.committed, "replicas"))[0].offset == 2
    assert (await asyncio.to_thread(failed.ends))[0] >= 2  # what was not confirmed may be there, too


async def test_a_missing_topic_is_told_and_found_once_it_is_there(kafka: Server) -> None:
    topic = Topic(f"made-later-{uuid.uuid4().hex}", {"bootstrap.servers": kafka.address})
    async with opened(kafka.address, topic.name, timeout=1) as destination:
        assert isinstance(destination, Checkable)
        (finding,) = await destination.check()
        assert finding.broken
        assert "NonExistentTopic" in finding.text
        with pytest.raises(Undeliverable):
            await destination.deliver(notice(1))
        await asyncio.to_thread(topic.create, PARTITIONS, 1, {})
        await _taken(destination)
        assert await destination.check() == []
    assert await asyncio.to_thread(written, topic, 1)


async def test_what_we_may_not_write_is_told_each_time(
    kafka_secured: SecuredKafka, make_topic: TopicMaker
) -> None:
    """Such a client ends with a fatal error; unheard, who sends beside it would wait for ever."""
    topic = await asyncio.to_thread(make_topic, kafka_secured.options("PLAINTEXT"), partitions=PARTITIONS)
    sasl = {"mechanism": "PLAIN", "username": "bob", "password": PASSWORDS["bob"]}
    address = kafka_secured.options("SASL")["bootstrap.servers"]
    async with opened(address, topic.name, sasl=sasl) as destination:
        assert isinstance(destination, Checkable)
        (finding,) = await destination.check()
        assert "authorization failed" in finding.text
        for _ in range(3):
            refused = await asyncio.gather(*[_refused(destination) for _ in range(5)])
            assert all("authorization failed" in why for why in refused)
    assert not [one for one in threading.enumerate() if one.name == "kafka-producer"]


async def test_the_loop_turns_while_brokers_are_away() -> None:
    async with opened("127.0.0.1:1", "orders", timeout=1) as destination:
        async with asyncio.TaskGroup() as group:
            delivering = group.create_task(_refused(destination))
            turns = 0
            while not delivering.done():
                await asyncio.sleep(0.01)
                turns += 1
        assert "Connection refused" in delivering.result()
        assert turns > 20


async def test_no_thread_is_left_of_what_was_cancelled_or_failed(kafka: Server, make_topic: TopicMaker) -> None:
    topic = await asyncio.to_thread(make_topic, kafka.address, partitions=PARTITIONS)
    async with opened(kafka.address, topic.name) as destination, asyncio.TaskGroup() as group:
        for turns in range(8):  # before, while and after its producer is made
            delivering = group.create_task(destination.deliver(notice(1)))
            for _ in range(turns):
                await asyncio.sleep(0.001)
            delivering.cancel()
    async with opened("127.0.0.1:1", topic.name, timeout=1) as destination:
        await _refused(destination)
    assert not [one for one in threading.enumerate() if one.name == "kafka-producer"]


async def _taken(destination: Destination) -> None:
    """As the engine does it: a broker may need longer than the timeout for the first message that it ever gets."""
    while True:
        try:
            return await destination.deliver(notice(1))
        except Undeliverable:
            await asyncio.sleep(0)


async def _refused(destination: Destination) -> str:
    with pytest.raises(Undeliverable) as caught:
        await destination.deliver(notice(1))
    return str(caught.value)
