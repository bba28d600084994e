"""One shard of a stream: the two calls that every page of it needs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from esm.checkpoint import Position, Start
from esm.clients.aws_calls import JsonCalls
from esm.clients.aws_errors import translated
from esm.errors import Disconnected, LaneGone
from esm.model import Record, Rejected
from esm.sources.kinesis.answers import Item, read_iterator, read_records
from esm.sources.kinesis.event import Encoder
from esm.sources.kinesis.stream import Stream
from esm.sources.shards import EXPIRED, TRIMMED, Fetched, numbers_of
from esm.world import World

_SERVICE = "Kinesis"
_REFUSED = "InvalidArgument"
_MISSING = "NonExistentStream"


class KinesisShard:
    """A `Shard`."""

    page = 10_000
    idle = 1.0
    inclusive = True

    def __init__(
        self, calls: JsonCalls, stream: Stream, shard: str, encoder: Encoder, world: World, *, digits: int
    ) -> None:
        self._calls = calls
        self._stream = stream
        self._shard = shard
        self._encoder = encoder
        self._world = world
        self._digits = digits

    async def iterator(self, place: Position | Start) -> str:
        """By the lean client, because the general one cuts times to seconds.

        AT and not AFTER a sequence number: a position that was trimmed is no error to Kinesis, which silently goes
        on at the oldest record, so the record at the position is what tells. One that it does refuse is of another
        stream that had the same name: everything behind it is gone as well.
        """
        arguments = {**self._stream.address, "ShardId": self._shard, **self._from(place)}
        with _understood(_REFUSED if isinstance(place, Start) else TRIMMED):
            return read_iterator(await self._calls.fetch("GetShardIterator", arguments))

    async def fetch(self, iterator: str, limit: int) -> Fetched:
        """An iterator that is refused has expired, or is of a server that began anew."""
        arguments = {"ShardIterator": iterator, "Limit": limit, "StreamARN": self._stream.arn}
        with _understood(EXPIRED):
            answer = read_records(await self._calls.fetch("GetRecords", arguments))
        behind, children = answer.MillisBehindLatest, answer.ChildShards
        return Fetched(
            answer.Records,
            answer.NextShardIterator,
            tuple(child.lane for child in children) if children else None,
            None if behind is None else behind / 1000,
            _size(answer.Records),
        )

    def position(self, item: Item) -> Position:
        """A sequence number is one as it is."""
        with numbers_of(_SERVICE):
            return int(item.SequenceNumber)

    def encode(self, items: Sequence[Item], seq: int, read: float) -> tuple[list[Record], list[Rejected]]:
        """As the function will see them."""
        with numbers_of(_SERVICE):
            return self._encoder.encode(items, seq, read, self._world.wall())

    def _from(self, place: Position | Start) -> Mapping[str, Any]:
        if not isinstance(place, Start):
            number = str(place).zfill(self._digits)
            return {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        if place.time is None:
            return {"ShardIteratorType": "TRIM_HORIZON"}
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": place.time}


def _size(items: Sequence[Item]) -> int:
    """Bytes as the service counts them: data before base64, and partition keys."""
    return sum([len(item.Data) * 3 // 4 + len(item.PartitionKey) for item in items])


@contextmanager
def _understood(refused: str) -> Iterator[None]:
    """Errors in the engine's words: `refused` is the code of an argument that the service does not take."""
    try:
        with translated(_SERVICE):
            yield
    except Disconnected as problem:
        if problem.code == _REFUSED:
            raise Disconnected(refused, problem.reason) from None
        if problem.code == _MISSING:
            raise LaneGone(problem.code, problem.reason) from None
        raise
