"""The answers of the calls that every page of records needs, read no further than they are used.

The data only travels on: it stays base64, and stands in an item as it will stand in the event.
"""

import msgspec
import orjson
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from msgspec import Struct

from esm.model import Lane
from esm.sources.shards import mended


class Item(Struct, gc=False):
    """`Record` of the API; the arrival is in epoch seconds, None where a server leaves it out.

    `Data` is what stands between the quotes of a JSON string.
    """

    SequenceNumber: str
    PartitionKey: str = ""
    Data: str = ""
    ApproximateArrivalTimestamp: float | None = None


class ChildShard(Struct, gc=False):
    """Who goes on after the end of a shard."""

    ShardId: str
    ParentShards: tuple[str, ...] = ()

    @property
    def lane(self) -> Lane:
        return Lane(self.ShardId, self.ParentShards)


class GetRecordsAnswer(Struct):
    """Without `NextShardIterator` the shard is closed and this was its end.

    Without `Records` it is no answer to this call, whoever gave it, and must not end a shard.
    """

    Records: list[Item]
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
        answer = _RECORDS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        answer = _mended(body)
    if b"\\" in body:  # without a backslash nothing is escaped, and a string is what stands between its quotes
        for item in answer.Records:
            item.Data = orjson.dumps(item.Data)[1:-1].decode()
    return answer


def read_iterator(body: bytes) -> str:
    """Raises `ResponseParserError`."""
    try:
        return _ITERATOR.decode(body).ShardIterator
    except msgspec.MsgspecError:
        raise ResponseParserError("GetShardIterator answered something else than an iterator") from None


def _mended(body: bytes) -> GetRecordsAnswer:
    """Half a surrogate pair in a key, which lax servers let through, must not wedge a shard."""
    try:
        return _RECORDS.decode(mended(body))
    except ValueError:
        raise ResponseParserError("GetRecords answered something else than records") from None
