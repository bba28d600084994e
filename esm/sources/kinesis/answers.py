"""The answers of the calls that every page of records needs, read no further than they are used.

What only travels on (the data, the partition key) stays the bytes it came as, so that a record is neither decoded
nor encoded again on its way into the event.
"""

import json

import msgspec
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from msgspec import Raw, Struct

from esm.model import Lane

_EMPTY = Raw(b'""')


class Item(Struct, gc=False):
    """`Record` of the API; the arrival is in epoch seconds, None where a server leaves it out."""

    SequenceNumber: str
    PartitionKey: Raw = _EMPTY
    Data: Raw = _EMPTY
    ApproximateArrivalTimestamp: float | None = None


class ChildShard(Struct, gc=False):
    """Who goes on after the end of a shard."""

    ShardId: str
    ParentShards: tuple[str, ...] = ()

    @property
    def lane(self) -> Lane:
        return Lane(self.ShardId, self.ParentShards)


class GetRecordsAnswer(Struct):
    """Without `NextShardIterator` the shard is closed and this was its end."""

    Records: list[Item] = []
    NextShardIterator: str | None = None
    MillisBehindLatest: int | None = None
    ChildShards: tuple[ChildShard, ...] | None = None


class GetShardIteratorAnswer(Struct):
    """An iterator for one shard."""

    ShardIterator: str


_RECORDS = msgspec.json.Decoder(GetRecordsAnswer)
_ITERATOR = msgspec.json.Decoder(GetShardIteratorAnswer)


def read_records(body: bytes) -> GetRecordsAnswer:
    """Raises `ResponseParserError`."""
    try:
        return _RECORDS.decode(body)
    except msgspec.MsgspecError:
        pass
    try:
        return _RECORDS.decode(_mended(body))
    except ValueError:
        raise ResponseParserError("GetRecords answered something else than records") from None


def read_iterator(body: bytes) -> str:
    """Raises `ResponseParserError`."""
    try:
        return _ITERATOR.decode(body).ShardIterator
    except msgspec.MsgspecError:
        raise ResponseParserError("GetShardIterator answered something else than an iterator") from None


def _mended(body: bytes) -> bytes:
    """Half a surrogate pair in a key, which lax servers let through, must not wedge a shard. Raises ValueError."""
    return json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
