"""A consumer that does what a test says, and remembers what it was told; for one thread, without a broker."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

TOPIC = "t"


class ScriptedConsumer:
    """`script` are steps, one for each poll: messages to return, or something to do."""

    def __init__(self, *script: Callable[["ScriptedConsumer"], None] | Sequence[Message]) -> None:
        self.script = deque(script)
        self.queue: deque[Message] = deque()
        self.assigned: dict[int, int] = {}
        self.paused: set[int] = set()
        self.committed: list[dict[int, int]] = []
        self.on_commit: Callable[[], None] = lambda: None
        self.refusal: int | None = None
        self.refused: dict[int, Any] = {}
        self.bounds = (0, 1000)
        self.is_down = False
        self.closed = False
        self.callbacks: Mapping[str, Any] = {}
        self.group: Mapping[str, Any] = {}

    def made(self, callbacks: Mapping[str, Any]) -> Any:
        self.callbacks = callbacks
        return self

    def subscribe(self, topics: list[str], **group: Any) -> None:
        self.group = group

    def poll(self, timeout: float) -> Message | None:
        if self.script:
            step = self.script.popleft()
            if callable(step):
                step(self)
            else:
                self.queue.extend(step)
        return self.queue.popleft() if self.queue else None

    def consume(self, count: int, timeout: float) -> list[Message]:
        return [self.queue.popleft() for _ in range(min(count, len(self.queue)))]

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self.assigned |= {place.partition: place.offset for place in places}

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        for place in places:
            del self.assigned[place.partition]

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused -= {place.partition for place in places}

    def get_watermark_offsets(self, place: TopicPartition, **how: Any) -> tuple[int, int]:
        return self.bounds

    def list_topics(self, topic: str, timeout: float) -> None:
        if self.is_down:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous, "the client may try it again after a newer one"
        self.committed.append({place.partition: place.offset for place in offsets})
        self.on_commit()
        if self.refusal is not None:
            raise KafkaException(KafkaError(self.refusal))
        return [self.refused.get(place.partition, place) for place in offsets]

    def assign(self, *partitions: int) -> None:
        self.group["on_assign"](self, [TopicPartition(TOPIC, number) for number in partitions])

    def revoke(self, *partitions: int) -> None:
        self.group["on_revoke"](self, [TopicPartition(TOPIC, number) for number in partitions])

    def lose(self, *partitions: int) -> None:
        self.group["on_lost"](self, [TopicPartition(TOPIC, number) for number in partitions])

    def close(self) -> None:
        self.closed = True


def message(partition: int, offset: int, value: bytes = b"x", error: int | None = None) -> Message:
    return Message(
        topic=TOPIC,
        partition=partition,
        offset=offset,
        value=value,
        timestamp=(1, 1000),
        error=None if error is None else KafkaError(error),
    )
