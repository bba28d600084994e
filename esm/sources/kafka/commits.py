"""What the thread of the consumer commits: one request for all that was asked since the last one.

Each is waited for. While a coordinator is away the client tries a commit again by itself, and one that was only
sent may be tried after newer ones, ours or the next owner's: the position would go back. Meanwhile nothing is
read; lanes go on with what they have. After a slow answer there may be copies of that commit in connections that
were given up, which brokers get to when they will: for a while all is written twice.
"""

from collections import deque
from collections.abc import Callable, Container, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct

from esm.clients.kafka import reason_of
from esm.errors import LostLease, StoreFailed

LOST = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._FENCED,  # noqa: SLF001 -- librdkafka's own errors have names that begin so
        KafkaError._FATAL,  # noqa: SLF001 -- the client has ended, and tries nothing any more
    }
)
"""The group knows us no longer, or not with these partitions."""

_SLOW = 1.0
"""Seconds for an answer after which the client may have tried more than once."""

_SHAKY_FOR, _STUCK = 10.0, 5.0


class TooMuchText(StoreFailed):
    """The brokers keep less beside an offset than was written (`offset.metadata.max.bytes`)."""


class Unanswered(StoreFailed):
    """The coordinator owes an answer for so long that the group may have given our partitions to others."""


class Asked(Struct, frozen=True, eq=False):
    """A commit of one partition; `done` is told of its end, in the thread: None if it is durable."""

    place: TopicPartition
    done: Callable[[LostLease | StoreFailed | None], None]


class Commits:
    """Of one consumer. Only `ask` may be called by other threads; `owned` are the partitions that are ours."""

    def __init__(self, owned: Container[int], monotonic: Callable[[], float]) -> None:
        self._owned = owned
        self._monotonic = monotonic
        self._waiting: deque[Asked] = deque()
        self._since: float | None = None
        self._shaky_until = float("-inf")

    @property
    def is_stuck(self) -> bool:
        """The coordinator has owed an answer for longer than it ever should, and nothing is read meanwhile."""
        since = self._since
        return since is not None and self._monotonic() - since > _STUCK

    def ask(self, asked: Asked) -> None:
        """To be sent soon. One at a time for each partition."""
        self._waiting.append(asked)

    def send(self, consumer: Consumer) -> None:
        """All that was asked; returns when it is answered, after as long as the client tries."""
        if not (sent := self._take()):
            return
        places = [asked.place for asked in sent.values()]
        is_shaky = self._monotonic() < self._shaky_until
        errors = self._written(consumer, places)
        if is_shaky:
            errors = self._written(consumer, places)  # a copy of an earlier one may have come between
        for partition, asked in sent.items():
            asked.done(_outcome(errors[partition]))

    def give_up(self, partitions: Container[int]) -> None:
        """These are not ours any more: what was asked is not kept until they come back.

        Others may have committed more meanwhile.
        """
        for _ in range(len(self._waiting)):
            asked = self._waiting.popleft()
            if asked.place.partition in partitions:
                _refuse(asked)
            else:
                self._waiting.append(asked)

    def fail(self, why: StoreFailed) -> None:
        """None of it will be sent."""
        while self._waiting:
            self._waiting.popleft().done(why)

    def _written(self, consumer: Consumer, places: list[TopicPartition]) -> Mapping[int, KafkaError | None]:
        since = self._since = self._monotonic()
        errors = _errors(consumer, places)
        self._since = None
        if (now := self._monotonic()) - since > _SLOW:
            self._shaky_until = now + _SHAKY_FOR
        return errors

    def _take(self) -> Mapping[int, Asked]:
        taken: dict[int, Asked] = {}
        while self._waiting:
            asked = self._waiting.popleft()
            if asked.place.partition in self._owned:
                taken[asked.place.partition] = asked  # an earlier one was given up by who asked for it
            else:
                _refuse(asked)
        return taken


def _errors(consumer: Consumer, places: list[TopicPartition]) -> Mapping[int, KafkaError | None]:
    """What the coordinator has against each of these, which are written durably otherwise."""
    try:
        return {place.partition: place.error for place in consumer.commit(offsets=places, asynchronous=False)}
    except KafkaException as raised:
        return dict.fromkeys([place.partition for place in places], raised.args[0])


def _refuse(asked: Asked) -> None:
    asked.done(LostLease(f"partition {asked.place.partition} is not ours any more"))


def _outcome(error: KafkaError | None) -> LostLease | StoreFailed | None:
    if error is None:
        return None
    if error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE:
        return TooMuchText(reason_of(error))
    return LostLease(reason_of(error)) if error.code() in LOST else StoreFailed(reason_of(error))
