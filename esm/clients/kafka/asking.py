"""The questions that are asked beside reading: of a topic, its offsets, and what a group has committed.

By a consumer that subscribes to nothing, in a thread, and a new one each time: what a client knows of partitions
and their leaders it keeps for minutes. Not by librdkafka's admin client, which ends the whole process when a
coordinator answers that it is none (2.16, seen with its own mock cluster).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from esm.clients.kafka.errors import OF_ONE_BROKER, UNREACHABLE, about, is_lasting, translated

OLDEST, END = -2, -1
"""What Kafka's protocol says instead of a time for the first record, and for behind the last."""

T = TypeVar("T")
Question = Callable[[Consumer, float], T]
"""Asked of a client, with seconds to answer in; raises `KafkaException`."""

_PATIENCE = 10.0
_AT_A_TIME = 2.0
_AGAIN = 0.1


class Committed(Struct, frozen=True):
    """What a group has for a partition: the offset to go on at, and a text beside it."""

    offset: int
    metadata: str = ""


async def ask(settings: Mapping[str, Any], question: Question[T]) -> T:
    """The answer, asked again for up to ten seconds. Raises `Disconnected`, at once if somebody has to act."""
    with translated():
        return await asyncio.to_thread(_ask, dict(settings), question)


def partitions(topic: str) -> Question[int]:
    """How many a topic has."""

    def question(client: Consumer, within: float) -> int:
        found = client.list_topics(topic, timeout=within).topics[topic]
        if found.error is not None:
            raise KafkaException(about(f"topic {topic}", found.error))
        return len(found.partitions)

    return question


def committed(topic: str, partitions: int) -> Question[Mapping[int, Committed]]:
    """By partition, what the client's group has; one without a position is left out."""

    def question(client: Consumer, within: float) -> Mapping[int, Committed]:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        found = _sound(client.committed(places, timeout=within))
        return {each.partition: Committed(each.offset, each.metadata or "") for each in found if each.offset >= 0}

    return question


def offsets(topic: str, wanted: Mapping[int, int]) -> Question[Mapping[int, int]]:
    """By partition, the offset of OLDEST, END, or a time in epoch milliseconds; -1 if that is later than all.

    The end is where the first open transaction begins, unless the client reads what is not committed.
    """

    def question(client: Consumer, within: float) -> Mapping[int, int]:
        ends = [number for number, moment in wanted.items() if moment < 0]
        found = {number: _bounds(client, topic, number, within)[wanted[number] == END] for number in ends}
        times = [TopicPartition(topic, number, moment) for number, moment in wanted.items() if moment >= 0]
        answers = _sound(client.offsets_for_times(times, timeout=within)) if times else ()
        return {**found, **{each.partition: max(-1, each.offset) for each in answers}}

    return question


def _bounds(client: Consumer, topic: str, number: int, within: float) -> tuple[int, int]:
    bounds = client.get_watermark_offsets(TopicPartition(topic, number), timeout=within)
    if bounds is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
    return bounds


def _ask(settings: dict[str, Any], question: Question[T]) -> T:
    wrong: list[KafkaError] = []
    client = Consumer({**settings, "error_cb": wrong.append})
    until = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                return question(client, _AT_A_TIME)
            except KafkaException as raised:
                wrong += _heard(client)
                for error in (*wrong, raised.args[0]):
                    if is_lasting(error):
                        raise KafkaException(_named(error, settings)) from None
                if time.monotonic() > until:
                    raise KafkaException(_most_telling(wrong, raised.args[0])) from None
            time.sleep(_AGAIN)
    finally:
        client.close()


def _heard(client: Consumer) -> Sequence[KafkaError]:
    """What went wrong with the group; what went wrong otherwise is told by `error_cb` meanwhile."""
    message = client.poll(0)
    error = None if message is None else message.error()
    return () if error is None else (error,)


def _named(error: KafkaError, settings: Mapping[str, Any]) -> KafkaError:
    """With the group that it is about, which may have no name but the mapping's id."""
    is_of_group = error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
    return about(f"group {settings['group.id']}", error) if is_of_group else error


def _most_telling(heard: Sequence[KafkaError], last: KafkaError) -> KafkaError:
    """That nobody can be reached says less than what was heard of one broker, such as a broken handshake."""
    told = [error for error in heard if error.code() in OF_ONE_BROKER]
    return told[-1] if told and last.code() in UNREACHABLE else last


def _sound(places: list[TopicPartition]) -> list[TopicPartition]:
    """Raises `KafkaException` for what could not be had of one of them."""
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return places
