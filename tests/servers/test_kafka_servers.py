"""The servers of Kafka do what the tests rely on, and fail as they are told to."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from servers import (
    PASSWORDS,
    KafkaCluster,
    MockKafka,
    Record,
    Request,
    SecuredKafka,
    Server,
    Topic,
    TopicMaker,
    unsecured_token,
)

SECONDS = 20.0
SETTINGS = {
    "group.id": "readers",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 10,
    "session.timeout.ms": 6000,
    "log_level": 0,
}


NOT_ALLOWED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)


def read(topic: Topic, count: int, **settings: Any) -> Sequence[Message]:
    """As a new member of the group, which commits what it read."""
    consumer = Consumer({**SETTINGS, **topic.options, **settings})
    consumer.subscribe([topic.name])
    try:
        found: list[Message] = []
        deadline = time.monotonic() + SECONDS
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records"
            found += (each for each in consumer.consume(count - len(found), 0.05) if each.error() is None)
        consumer.commit(asynchronous=False)
        return found
    finally:
        consumer.close()


def refusal(call: Callable[[], Any]) -> int:
    with pytest.raises(KafkaException) as error:
        call()
    code: int = error.value.args[0].code()
    return code


# --- one broker, of whatever make


def test_records_come_as_they_were_written_and_the_group_remembers(
    kafka_server: Server, make_topic: TopicMaker
) -> None:
    topic = make_topic(kafka_server.address, partitions=2)
    stamp = int(time.time() * 1000) - 1000
    written = topic.produce([Record(b"\x00\xff", b"key", (("h", b"1"), ("h", None)), 1, stamp), Record(None)])
    assert written[0] == (1, 0)
    one = next(message for message in read(topic, 2) if message.partition() == 1 and message.value() is not None)
    assert (one.key(), one.value(), one.headers()) == (b"key", b"\x00\xff", [("h", b"1"), ("h", None)])
    assert one.timestamp()[1] == stamp
    ends = {partition: end for partition, end in topic.ends().items() if end}
    assert {partition: said.offset for partition, said in topic.committed("readers").items()} == ends


def test_a_topic_is_trimmed_grows_and_comes_again(kafka_server: Server, make_topic: TopicMaker) -> None:
    topic = make_topic(kafka_server.address)
    topic.produce([b"one", b"two", b"three"])
    topic.trim(0, 2)
    assert (topic.starts(), topic.ends()) == ({0: 2}, {0: 3})
    topic.grow(3)
    assert topic.produce([Record(b"new", partition=2)]) == [(2, 0)]
    topic.delete()
    topic.create(1, 1, {})
    assert topic.ends() == {0: 0}


def test_a_broker_is_on_loopback_only(kafka_server: Server) -> None:
    assert {ip.removeprefix("::ffff:") for ip, _ in kafka_server.listening()} == {"127.0.0.1"}


def test_records_and_commits_outlive_a_stop(own_kafka_server: Server, make_topic: TopicMaker) -> None:
    topic = make_topic(own_kafka_server.address)
    topic.produce([b"one", b"two"])
    read(topic, 1)
    own_kafka_server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", own_kafka_server.port))
    own_kafka_server.start()
    assert [message.value() for message in read(topic, 1)] == [b"two"]


def test_an_aborted_transaction_is_not_read_and_leaves_a_gap(kafka: Server, make_topic: TopicMaker) -> None:
    topic = make_topic(kafka.address)
    topic.transaction([b"lost"], commit=False)
    topic.transaction([b"kept"])
    (message,) = read(topic, 1)
    assert (message.value(), message.offset()) == (b"kept", 2)
    assert topic.ends() == {0: 4}


# --- who is let in


def test_every_way_to_show_oneself_is_let_in(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> None:
    topic = make_topic(kafka_secured.server.address)
    for name, options in kafka_secured.ways.items():
        assert Topic(topic.name, options).produce([name.encode()])
    assert topic.ends() == {0: len(kafka_secured.ways)}


def until_told(options: Mapping[str, Any], *wanted: int) -> None:
    """Until such a client is told of one of these errors."""
    told: list[int] = []
    consumer = Consumer({**SETTINGS, **options, "error_cb": lambda error: told.append(error.code())})
    consumer.subscribe(["any"])
    deadline = time.monotonic() + SECONDS
    while not set(told) & set(wanted):
        assert time.monotonic() < deadline, f"only {told}"
        if (message := consumer.poll(0.05)) is not None and (error := message.error()) is not None:
            told.append(error.code())
    consumer.close()


def test_others_are_refused(kafka_secured: SecuredKafka) -> None:
    scram = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "alice", "sasl.password": "wrong"}
    until_told(kafka_secured.options("SASL", **scram), KafkaError._AUTHENTICATION)
    until_told(kafka_secured.options("TLS") | {"ssl.ca.location": ""}, KafkaError._SSL)
    until_told(kafka_secured.options("MTLS"), KafkaError._TRANSPORT, KafkaError._SSL)
    bob = {"sasl.username": "bob", "sasl.password": PASSWORDS["bob"]}
    until_told({**kafka_secured.ways["SASL PLAIN"], **bob}, *NOT_ALLOWED)


@pytest.mark.parametrize(("age", "result"), [(60, 1), (-60, 0)])
def test_a_token_is_good_until_it_expires(
    kafka_secured: SecuredKafka, make_topic: TopicMaker, age: float, result: int
) -> None:
    expires = time.time() + age
    bearer = {
        "sasl.mechanism": "OAUTHBEARER",
        "oauth_cb": lambda _: (unsecured_token("alice", expires), time.time() + 60),
        "message.timeout.ms": 3000,
    }
    topic = make_topic(kafka_secured.server.address)
    written = Topic(topic.name, kafka_secured.options("OAUTH", **bearer))
    try:
        written.produce([b"x"])
    except AssertionError:
        assert not result
    assert topic.ends() == {0: result}


def test_a_new_password_counts_from_the_next_connection_on(
    kafka_secured: SecuredKafka, make_topic: TopicMaker
) -> None:
    topic = make_topic(kafka_secured.server.address)
    before = kafka_secured.ways["SASL SCRAM-SHA-512"]
    kafka_secured.set_password("alice", "another")
    try:
        until_told(before, KafkaError._AUTHENTICATION)
        assert Topic(topic.name, {**before, "sasl.password": "another"}).leaders()
    finally:
        kafka_secured.set_password("alice", PASSWORDS["alice"])


# --- three brokers


@pytest.mark.timeout(150)  # brokers are missed after seconds, and a start takes some
def test_a_broker_that_is_gone_or_held_loses_its_partitions_and_gets_them_back(
    kafka_cluster: KafkaCluster, make_topic: TopicMaker
) -> None:
    topic = make_topic(kafka_cluster.bootstrap, partitions=3, replicas=3)
    for number, leave in ((1, Server.kill), (2, Server.pause)):
        leave(kafka_cluster.brokers[number])
        kafka_cluster.until_leaders(topic, lambda now: len(now) == 3 and number not in now.values())  # noqa: B023
        topic.produce([b"x"] * 30)
        kafka_cluster.heal()
        kafka_cluster.until_leaders(topic, lambda now: set(now.values()) == {1, 2, 3})
    assert sum(topic.ends().values()) == 60


def test_a_partition_is_moved(kafka_cluster: KafkaCluster, make_topic: TopicMaker) -> None:
    topic = make_topic(kafka_cluster.bootstrap, replicas=3)
    for broker in (1, 2, 3):
        kafka_cluster.move(topic, 0, broker)
        assert topic.produce([b"x"]) == [(0, broker - 1)]


# --- errors on demand


def test_the_mock_fails_commits_as_told_and_no_more(kafka_mock: MockKafka) -> None:
    kafka_mock.create("orders", partitions=3)
    topic = Topic("orders", {"bootstrap.servers": kafka_mock.bootstrap})
    topic.produce([b"one"])
    consumer = Consumer({**SETTINGS, **topic.options})
    consumer.assign([TopicPartition("orders", partition) for partition in range(3)])

    def commit() -> None:
        consumer.commit(offsets=[TopicPartition("orders", 0, 1)], asynchronous=False)

    kafka_mock.fail(Request.OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION, KafkaError.THROTTLING_QUOTA_EXCEEDED)
    assert refusal(commit) == KafkaError.ILLEGAL_GENERATION
    assert refusal(commit) == KafkaError.THROTTLING_QUOTA_EXCEEDED
    commit()
    kafka_mock.fail(Request.OFFSET_COMMIT, *[KafkaError.ILLEGAL_GENERATION] * 5)
    kafka_mock.fail_no_more(Request.OFFSET_COMMIT)
    commit()
    consumer.close()


def test_the_mock_loses_a_coordinator_a_leader_and_a_broker(kafka_mock: MockKafka) -> None:
    kafka_mock.create("orders", replicas=3)
    topic = Topic("orders", {"bootstrap.servers": kafka_mock.bootstrap})
    topic.produce([b"one", b"two", b"three"])
    kafka_mock.coordinate("readers", 1)
    assert [message.value() for message in read(topic, 3)] == [b"one", b"two", b"three"]
    kafka_mock.coordinate("readers", 2)
    kafka_mock.lead("orders", 0, 3)
    kafka_mock.down(1)
    assert topic.produce([b"four"]) == [(0, 3)]
    assert topic.committed("readers")[0].offset == 3
    kafka_mock.up(1)
    began = time.monotonic()
    kafka_mock.delay(200)
    topic.leaders()
    assert time.monotonic() - began > 0.2


def test_a_call_that_the_mock_refuses_is_told(kafka_mock: MockKafka) -> None:
    kafka_mock.create("orders")
    with pytest.raises(AssertionError, match="topic_create"):
        kafka_mock.create("orders")
