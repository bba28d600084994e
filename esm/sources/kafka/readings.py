"""The partitions of a consumer that are open: what is polled goes to their lanes, and back-pressure comes back.

While no lane has room, little is polled: what a pause throws away has to be fetched again. While some have, the
partitions of those that are too full are paused. In the thread of the consumer only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from esm.sources.kafka.event import Encoder
from esm.sources.kafka.feed import Feed, Parcel
from esm.world import World

_ROOM = 32 * 1024 * 1024
"""Bytes of events that wait to be read, over all partitions of a consumer."""

_LEAST_ROOM = 256 * 1024
_ASKING = 5.0

Tell = Callable[..., None]
"""Calls its first argument with the others, in the event loop."""


class Reading(Struct):
    """A partition that is open at `place`; `offset` is where it is read on."""

    feed: Feed
    encoder: Encoder
    place: TopicPartition
    offset: int
    is_paused: bool = False


class Readings:
    """Of one topic, by number of partition. `tell` calls something in the event loop."""

    def __init__(self, tell: Tell, world: World) -> None:
        self._tell = tell
        self._world = world
        self._open: dict[int, Reading] = {}

    def open(self, consumer: Consumer, reading: Reading) -> None:
        """Raises `KafkaException`."""
        place = reading.place
        consumer.incremental_assign([TopicPartition(place.topic, place.partition, reading.offset)])
        consumer.resume([place])  # the client keeps the pause of a partition that was taken away and came back
        reading.is_paused = False
        self._open[place.partition] = reading

    def shut(self, consumer: Consumer, partition: int, feed: Feed) -> None:
        """If it is still open for that feed."""
        reading = self._open.get(partition)
        if reading is not None and reading.feed is feed:
            del self._open[partition]
            consumer.incremental_unassign([reading.place])

    def drop(self, consumer: Consumer, partitions: Collection[int]) -> None:
        """They are not ours any more, and their lanes are told."""
        dropped = [self._open.pop(number) for number in partitions if number in self._open]
        for reading in dropped:
            self._tell(reading.feed.end)
        consumer.incremental_unassign([reading.place for reading in dropped])

    @property
    def are_full(self) -> bool:
        """No lane wants more."""
        room = self._room
        return bool(self._open) and all(each.feed.queued >= room for each in self._open.values())

    def route(self, consumer: Consumer, messages: Sequence[Message]) -> list[tuple[Message, KafkaError]]:
        """To their lanes; returns what went wrong, which may be of a partition or of everything."""
        by_partition: dict[int, list[Message]] = {}
        ends: dict[int, int] = {}
        wrong = []
        for message in messages:
            if (error := message.error()) is None:
                by_partition.setdefault(message.partition(), []).append(message)  # type: ignore[arg-type]
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                ends[message.partition()] = message.offset()  # type: ignore[index, assignment]
            else:
                wrong.append((message, error))
        parcels = [
            (self._open[number].feed, self._parcel(consumer, number, by_partition.get(number, ()), ends))
            for number in {**by_partition, **ends}
            if number in self._open
        ]
        if parcels:
            self._tell(_deliver, parcels)
        return wrong

    def balance(self, consumer: Consumer) -> None:
        """Pauses what has far too much, and resumes what has room again."""
        room = self._room
        pausing = [each for each in self._open.values() if not each.is_paused and each.feed.queued >= 2 * room]
        resuming = [each for each in self._open.values() if each.is_paused and each.feed.queued < room // 2]
        if pausing:
            consumer.pause([each.place for each in pausing])
        if resuming:
            consumer.resume([each.place for each in resuming])
        for each in (*pausing, *resuming):
            each.is_paused = not each.is_paused

    def mend(self, consumer: Consumer, partition: int, asked: int) -> int | None:
        """A position that is not there: reads on at the oldest record, and tells the lane what is lost.

        Beyond the end, the partition was made anew: it is shut, and where it begins is returned. Raises
        `KafkaException`.
        """
        reading = self._open.get(partition)
        if reading is None:
            return None
        bounds = consumer.get_watermark_offsets(reading.place, timeout=_ASKING)
        if bounds is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
        oldest, end = bounds
        consumer.incremental_unassign([reading.place])
        if asked > end:
            del self._open[partition]
            self._tell(reading.feed.end)
            return oldest
        lost = max(0, oldest - asked)
        reading.offset = asked + lost
        self.open(consumer, reading)
        if lost:
            self._tell(_deliver, [(reading.feed, Parcel(lost=lost, upto=oldest - 1, end=end))])
        return None

    def _parcel(
        self, consumer: Consumer, number: int, messages: Sequence[Message], ends: Mapping[int, int]
    ) -> Parcel:
        reading = self._open[number]
        world = self._world
        records, rejected, size = reading.encoder.encode(messages, world.monotonic(), world.wall())
        if messages:
            reading.offset = messages[-1].offset() + 1  # type: ignore[operator]
        end = ends.get(number, -1)
        at_end = end >= reading.offset
        if at_end:
            reading.offset = end
        _, high = consumer.get_watermark_offsets(reading.place, cached=True)
        reading.feed.came += size
        return Parcel(records, rejected, size, reading.offset - 1, end=high if high >= 0 else None, at_end=at_end)

    @property
    def _room(self) -> int:
        return max(_LEAST_ROOM, _ROOM // max(1, len(self._open)))


def _deliver(parcels: Iterable[tuple[Feed, Parcel]]) -> None:
    for feed, parcel in parcels:
        feed.put(parcel)
