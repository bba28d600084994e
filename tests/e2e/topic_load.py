"""A producer that keeps writing to a topic while others move it about, and what the topic then holds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Event, Lock
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from servers.topics import Topic

from .journal import group_of
from .stream_account import Accepted
from .stream_load import beside

_READ_SECONDS = 30.0
WRITE_SECONDS = 60.0
"""How long brokers may keep a round waiting: one that was killed counts as a replica for a while."""


class TopicLoad:
    """Writes `UNIT/NUMBER`, numbers in order, to every partition at a time; a unit is what keeps its order.

    That is a key where `keys` is how many a partition has, and a partition where that is 0: its keys then say
    nothing. `taken` has since when (monotonic seconds) each is there.
    """

    def __init__(self, topic: Topic, partitions: int, keys: int = 0, pause: float = 0.1) -> None:
        self.topic = topic
        self.partitions = partitions
        self.taken: dict[str, float] = {}
        self._keys = keys
        self._pause = pause
        self._numbers = count()
        self._stop = Event()
        self._putting = Lock()
        self._producer = self._connected()

    def widen(self, partitions: int) -> None:
        """To that many, which the topic has from now on. A producer that knew it would learn of them too late."""
        self._producer = self._connected()
        self.partitions = partitions

    def put(self, rounds: int) -> None:
        """So many numbers of every unit."""
        for _ in range(rounds):
            self._round()

    def run(self) -> None:
        """Until stopped; then it may be run again, and goes on."""
        self._stop.clear()
        while not self._stop.wait(self._pause):
            with self._putting:
                if not self._stop.is_set():
                    self._round()

    def stop(self) -> None:
        """Nothing more is put from now on."""
        self._stop.set()
        with self._putting:
            return

    def _connected(self) -> Producer:
        """What it writes is there once and in order, whatever brokers do."""
        return Producer({**self.topic.options, "enable.idempotence": True, "linger.ms": 1, "log_level": 0})

    def _round(self) -> None:
        number, there = next(self._numbers), dict[str, float]()
        bodies = [
            (f"{unit}/{number}", partition)
            for partition in range(self.partitions)
            for unit in self.units(partition)
        ]

        def delivered(error: Any, message: Message) -> None:
            assert error is None, error
            there[(message.value() or b"").decode()] = time.monotonic()

        producer = self._producer
        for body, partition in bodies:
            key = group_of(body).encode()
            producer.produce(self.topic.name, body.encode(), key, partition, on_delivery=delivered)
        assert not producer.flush(WRITE_SECONDS), "records were not taken"
        self.taken |= there

    def units(self, partition: int) -> Sequence[str]:
        """What keeps its order there."""
        return [f"p{partition}k{key}" for key in range(self._keys)] or [f"p{partition}"]

    def accepted(self) -> list[Accepted]:
        """What the topic holds, in the order of each partition, among it all that it said to have taken."""
        found = [
            Accepted(
                body, f"{self.topic.name}-{message.partition()}", message.offset() or 0, self.taken.get(body, 0)
            )
            for message in contents(self.topic)
            for body in [(message.value() or b"").decode()]
        ]
        lost = set(self.taken) - {one.body for one in found}
        assert not lost, f"the topic has lost {sorted(lost)[:10]}"
        return found


@contextmanager
def writing(load: TopicLoad) -> Iterator[TopicLoad]:
    """It writes until it is stopped, or the context is left."""
    with beside(load.run):
        try:
            yield load
        finally:
            load.stop()


def contents(topic: Topic) -> list[Message]:
    """All records that are there, in the order of each partition."""
    options = {"group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    reader = Consumer({**topic.options, **options})
    places = [TopicPartition(topic.name, partition, 0) for partition in topic.leaders()]
    reader.assign(places)
    found: list[Message] = []
    left = {place.partition for place in places}
    deadline = time.monotonic() + _READ_SECONDS
    try:
        while left:
            assert time.monotonic() < deadline, f"partitions {left} could not be read to their end"
            for message in reader.consume(1000, 0.5):
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
    finally:
        reader.close()
    return found
