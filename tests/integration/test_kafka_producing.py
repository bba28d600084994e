"""Messages that are handed to brokers: on which partition they are, and with whose credentials they go."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from esm.clients.kafka.producing import Outgoing, open_producing
from esm.errors import Disconnected
from servers.kafka_mock import MockKafka, Request
from servers.topics import Topic

PARTITIONS = 10
KEYS = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
"""With what the client in Java makes of them (`UtilsTest.testMurmur2` of Apache Kafka)."""


@pytest.fixture
def topic(kafka_mock: MockKafka) -> Topic:
    name = f"producing-{uuid.uuid4().hex}"
    kafka_mock.create(name, PARTITIONS, 3)
    return Topic(name, {"bootstrap.servers": kafka_mock.bootstrap})


def partitions_of(topic: Topic) -> dict[bytes, int]:
    consumer = Consumer({**topic.options, "group.id": "none", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic.name, number, 0) for number in range(PARTITIONS)])
        found: dict[bytes, int] = {}
        while len(found) < len(KEYS):
            found |= {bytes(one.key()): one.partition() for one in consumer.consume(10, 0.1)}  # type: ignore[arg-type, misc]
        return found
    finally:
        consumer.close()


async def test_a_key_is_where_a_producer_in_java_would_write_it(topic: Topic) -> None:
    async def reach() -> Mapping[str, Any]:
        return topic.options

    async with open_producing(reach, topic.name, timeout=10, max_bytes=1_000_000) as producing:
        await producing.send([Outgoing(b"x", key) for key in KEYS])
    wanted = {key: (code & 0x7FFFFFFF) % PARTITIONS for key, code in KEYS.items()}
    assert await asyncio.to_thread(partitions_of, topic) == wanted


async def test_after_a_failure_it_is_found_out_anew_how_brokers_are_reached(
    kafka_mock: MockKafka, topic: Topic
) -> None:
    """A password, or a certificate, may be what was wrong."""
    reached = 0

    async def reach() -> Mapping[str, Any]:
        nonlocal reached
        reached += 1
        return topic.options

    async with open_producing(reach, topic.name, timeout=1, max_bytes=1_000_000) as producing:
        await producing.send([Outgoing(b"x")])
        await producing.send([Outgoing(b"x")])
        assert reached == 1
        kafka_mock.fail(Request.PRODUCE, KafkaError.TOPIC_AUTHORIZATION_FAILED)
        with pytest.raises(Disconnected):
            await producing.send([Outgoing(b"x")])
        await producing.send([Outgoing(b"x")])
        assert reached == 2
