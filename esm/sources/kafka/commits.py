"""What the thread of the consumer commits: one request for all that was asked since the last one.

A commit is sent without waiting, so that reading goes on while a coordinator is slow. In a rebalance no answer
comes before the rebalance goes on, so there it is sent again, and waited for. The client tries the first one again
all the same, maybe later than what follows: nothing newer is sent before its answer, or positions would go back.
"""

from collections import deque
from collections.abc import Callable, Container, Sequence

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
    }
)
"""The group knows us no longer, or not with these partitions."""

_PATIENCE = 30.0


class TooMuchText(StoreFailed):
    """The brokers keep less beside an offset than was written (`offset.metadata.max.bytes`)."""


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
        self._sent: dict[int, Asked] = {}
        self._since = 0.0
        self._is_on_its_way = False

    @property
    def is_idle(self) -> bool:
        """Nothing is asked or on its way."""
        return not self._waiting and not self._sent and not self._is_on_its_way

    def ask(self, asked: Asked) -> None:
        """To be sent soon. One at a time for each partition."""
        self._waiting.append(asked)

    def send(self, consumer: Consumer) -> None:
        """What was asked, if nothing is on its way."""
        now = self._monotonic()
        if now - self._since > _PATIENCE:
            self._is_on_its_way = False
            if self._sent:
                self.fail(StoreFailed(f"the group's coordinator did not answer within {_PATIENCE:g} s"))
        if self._sent or self._is_on_its_way:
            return
        self._take()
        if not (places := self._places()):
            return
        self._since = now
        try:
            consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as raised:
            self._settle(raised.args[0], places)
        else:
            self._is_on_its_way = True

    def answered(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        """As `on_commit` is called: maybe for what was sent again and answered already."""
        self._is_on_its_way = False
        self._settle(error, places)

    def finish(self, consumer: Consumer) -> None:
        """All of it, and waits for the answer. What was on its way is sent once more."""
        self._take()
        if not (places := self._places()):
            return
        try:
            answers = consumer.commit(offsets=places, asynchronous=False) or ()
        except KafkaException as raised:
            self._settle(raised.args[0], places)
        else:
            self._settle(None, answers)

    def give_up(self, partitions: Container[int]) -> None:
        """These are not ours any more: nobody waits for their answers, which would not help.

        Nor is what was asked and not sent kept until they come back: others may have committed more meanwhile.
        """
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._waiting.extend(asked for asked in waiting if asked.place.partition not in partitions)
        for partition in [each for each in self._sent if each in partitions]:
            _refuse(self._sent.pop(partition))
        for asked in waiting:
            if asked.place.partition in partitions:
                _refuse(asked)

    def fail(self, why: StoreFailed) -> None:
        """None of it will be answered."""
        for asked in (*self._sent.values(), *self._waiting):
            asked.done(why)
        self._sent.clear()
        self._waiting.clear()

    def _settle(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        for place in places:
            asked = self._sent.get(place.partition)
            if asked is not None and _is_same(asked.place, place):
                del self._sent[place.partition]
                asked.done(_outcome(place.error or error))

    def _places(self) -> list[TopicPartition]:
        return [asked.place for asked in self._sent.values()]

    def _take(self) -> None:
        while self._waiting:
            asked = self._waiting.popleft()
            if asked.place.partition in self._owned:
                self._sent[asked.place.partition] = asked  # an earlier one was given up by who asked for it
            else:
                _refuse(asked)


def _refuse(asked: Asked) -> None:
    asked.done(LostLease(f"partition {asked.place.partition} is not ours any more"))


def _is_same(asked: TopicPartition, answered: TopicPartition) -> bool:
    return (asked.offset, asked.metadata) == (answered.offset, answered.metadata)


def _outcome(error: KafkaError | None) -> LostLease | StoreFailed | None:
    if error is None:
        return None
    if error.code() == KafkaError.OFFSET_METADATA_TOO_LARGE:
        return TooMuchText(reason_of(error))
    return LostLease(reason_of(error)) if error.code() in LOST else StoreFailed(reason_of(error))
