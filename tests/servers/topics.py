"""Topics of a test's own: made, written to, trimmed and looked at, on anything that speaks Kafka's protocol.

All calls wait until the brokers have carried out what was asked. They are not deleted: they cost little, and
the server with them in it does not outlive the run.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Consumer, ElectionType, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

_T = TypeVar("_T")

_SECONDS = 20.0
_OF_A_TEST = {
    "log_level": 0,
    # A broker that is held takes connections and says nothing: for the usual 60 s no other would be asked.
    "socket.timeout.ms": 5000,
    "socket.connection.setup.timeout.ms": 2000,
    "reconnect.backoff.max.ms": 500,
}


_PASSES = {
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


class Record(NamedTuple):
    """What is written; a partition below 0 is left to the client, a timestamp of 0 (milliseconds) to its clock."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = -1
    timestamp: int = 0


class Committed(NamedTuple):
    """What a group has committed for a partition."""

    offset: int
    metadata: str


class Topic:
    """A topic with the settings of its clients, which begin with `bootstrap.servers`."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self.name = name
        self.options = dict(options)
        self._admin = AdminClient({**_OF_A_TEST, **options})

    @property
    def bootstrap(self) -> str:
        return str(self.options["bootstrap.servers"])

    def create(self, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Also again, after it was deleted."""
        new = NewTopic(self.name, num_partitions=partitions, replication_factor=replicas, config=dict(settings))
        _done(self._admin.create_topics([new], operation_timeout=_SECONDS))
        self._await_leaders(partitions)

    def delete(self) -> None:
        _done(self._admin.delete_topics([self.name], operation_timeout=_SECONDS))

    def grow(self, partitions: int) -> None:
        """To that many."""
        _done(self._admin.create_partitions([NewPartitions(self.name, partitions)], operation_timeout=_SECONDS))
        self._await_leaders(partitions)

    def leaders(self, within: float = _SECONDS) -> dict[int, int]:
        """By partition, the broker that leads it, as any of the brokers knows; without a leader it is left out.

        Raises KafkaException when the broker that is asked does not answer within so many seconds.
        """
        found = self._admin.list_topics(self.name, timeout=within).topics[self.name].partitions
        return {each.id: each.leader for each in found.values() if each.leader >= 0}

    def is_in_sync(self, within: float = _SECONDS) -> bool:
        """Whether every replica has all that its leader has. Raises as `leaders`."""
        found = self._admin.list_topics(self.name, timeout=within).topics[self.name].partitions
        return all(set(each.isrs) == set(each.replicas) for each in found.values())

    def elect_preferred(self, partition: int) -> None:
        """Gives the partition the first of its replicas as its leader; it may be that already."""
        one = [TopicPartition(self.name, partition)]

        def elect() -> None:
            for error in _result(self._admin.elect_leaders(ElectionType.PREFERRED, one)).values():
                if error is not None and error.code() != KafkaError.ELECTION_NOT_NEEDED:
                    raise KafkaException(error)

        _patiently(elect)

    def produce(self, records: Iterable[Record | bytes], **settings: Any) -> list[tuple[int, int]]:
        """Writes them all, with `acks=all` unless told otherwise; returns partition and offset of each."""
        producer = Producer({**_OF_A_TEST, **self.options, "acks": "all", "linger.ms": 1, **settings})
        return self._write(producer, records)

    def transaction(self, records: Iterable[Record | bytes], *, commit: bool = True) -> list[tuple[int, int]]:
        """Writes them in one transaction, which is committed or aborted; partition and offset of each."""
        producer = Producer({**_OF_A_TEST, **self.options, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(_SECONDS)
        producer.begin_transaction()
        written = self._write(producer, records)
        (producer.commit_transaction if commit else producer.abort_transaction)(_SECONDS)
        return written

    def starts(self) -> dict[int, int]:
        """By partition, the offset of the first record that is there."""
        return self._offsets(OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def ends(self) -> dict[int, int]:
        """By partition, the offset that the next record gets."""
        return self._offsets(OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def trim(self, partition: int, before: int) -> None:
        """Deletes the records of a partition below an offset."""
        _done(self._admin.delete_records([TopicPartition(self.name, partition, before)]))

    def committed(self, group: str) -> dict[int, Committed]:
        """By partition, what that consumer group has committed; a partition without is left out."""
        # Not by the admin client: librdkafka 2.16 dies of a coordinator that answers it with "not me".
        asked = [TopicPartition(self.name, partition) for partition in self.leaders()]
        asker = Consumer({**_OF_A_TEST, **self.options, "group.id": group})
        try:
            found = _patiently(lambda: asker.committed(asked, timeout=_SECONDS))
        finally:
            asker.close()
        return {one.partition: Committed(one.offset, one.metadata or "") for one in found if one.offset >= 0}

    def members(self, group: str) -> dict[str, frozenset[int]]:
        """By member of that group, its partitions of this topic."""
        found = _result(self._admin.describe_consumer_groups([group])[group]).members
        return {
            each.member_id: frozenset(
                one.partition for one in each.assignment.topic_partitions if one.topic == self.name
            )
            for each in found
        }

    def _await_leaders(self, partitions: int) -> None:
        deadline = time.monotonic() + _SECONDS
        while len(self.leaders()) < partitions:
            assert time.monotonic() < deadline, f"{self.name} has no leaders"
            time.sleep(0.02)

    def _offsets(self, spec: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(self.name, partition): spec for partition in self.leaders()}
        return _patiently(
            lambda: {
                place.partition: _result(found).offset for place, found in self._admin.list_offsets(asked).items()
            }
        )

    def _write(self, producer: Producer, records: Iterable[Record | bytes]) -> list[tuple[int, int]]:
        written: dict[int, tuple[int, int]] = {}
        failed: list[Any] = []
        for number, given in enumerate(records):
            record = given if isinstance(given, Record) else Record(given)

            def delivered(error: Any, message: Any, number: int = number) -> None:
                if error is None:
                    written[number] = (message.partition(), message.offset())
                else:
                    failed.append(error)

            placed: Any = {"partition": record.partition, "timestamp": record.timestamp, "on_delivery": delivered}
            producer.produce(self.name, record.value, record.key, headers=list(record.headers), **placed)
            producer.poll(0)
        left = producer.flush(_SECONDS)
        assert not failed, failed[0]
        assert not left, f"{left} records were not taken within {_SECONDS:.0f} s"
        return [written[number] for number in sorted(written)]


class TopicMaker:
    """Makes topics named after the test that asks."""

    def __init__(self, prefix: str) -> None:
        self._stem = re.sub(r"[^A-Za-z0-9_-]", "-", prefix)[:50]

    def __call__(
        self,
        bootstrap: str | Mapping[str, Any],
        *,
        partitions: int = 1,
        replicas: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> Topic:
        """Makes a topic; `bootstrap` is an address, or all the settings of a client."""
        options = {"bootstrap.servers": bootstrap} if isinstance(bootstrap, str) else bootstrap
        topic = Topic(f"{self._stem}-{uuid.uuid4().hex[:12]}", options)
        topic.create(partitions, replicas, settings or {})
        return topic


def _patiently(ask: Callable[[], _T]) -> _T:
    """Asks again while a leader or a coordinator moves or is being made."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _PASSES or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _done(futures: Mapping[Any, "Future[Any]"]) -> None:
    for future in futures.values():
        _result(future)


def _result(future: "Future[Any]") -> Any:
    return future.result(_SECONDS)
