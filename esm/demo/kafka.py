"""The topic of the demonstration, and where in it every record stands."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, Message, Producer

from esm.demo.failures import DemoFailed
from esm.demo.notices import Place
from esm.demo.workload import Message as Sent

_SECONDS = 10.0


class Topic:
    """A topic that its brokers make with the first record; the key of a record is the group of its message."""

    def __init__(self, name: str, brokers: str) -> None:
        self.url = f"kafka://{brokers}/{name}"
        self._name = name
        self._producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "log_level": 0})
        self._places: dict[Place, str] = {}

    async def send(self, messages: Sequence[Sent]) -> None:
        """In the order given."""
        await asyncio.to_thread(self._send, messages)

    async def places(self) -> Mapping[Place, str]:
        """Where each record stands, as the brokers said when they took it."""
        return self._places

    def _send(self, messages: Sequence[Sent]) -> None:
        for message in messages:
            self._producer.produce(self._name, message.body, message.group, on_delivery=self._taking(message))
        if self._producer.flush(_SECONDS):
            raise DemoFailed(f"the brokers did not take all records of the topic {self._name}")

    def _taking(self, sent: Sent) -> Callable[[KafkaError | None, Message], None]:
        """What is told of a record that was not taken is that its place is not known: the account finds it."""

        def taken(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._places[Place(f"{self._name}-{message.partition()}", message.offset() or 0)] = sent.id

        return taken
