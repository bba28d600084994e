"""Stream records as the event of an invocation.

The shape is the one in "Using AWS Lambda with Amazon DynamoDB" of the AWS Lambda Developer Guide, key by key in
the order in which AWS sends them. A record is encoded once, when it is read; items go from GetRecords into the
event as the bytes they came in, since both write attribute values alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Raw, Struct, UnsetType

from esm.core.notice_times import without_milliseconds
from esm.model import Lane, Record
from esm.sources.dynamodb.lineage import shard_of
from esm.sources.envelope import FRAME, enveloped
from esm.sources.shards.event import batch_info, mended

_NOTHING = Raw(b'""')


class Change(Struct, kw_only=True, gc=False, rename="pascal"):
    """`StreamRecord` of the API: what happened to an item. Images are there as the stream's view type says."""

    approximate_creation_date_time: float
    keys: Raw
    new_image: Raw | UnsetType = UNSET
    old_image: Raw | UnsetType = UNSET
    sequence_number: str
    size_bytes: int = 0
    stream_view_type: Raw = _NOTHING

    @property
    def created(self) -> int:
        """Epoch seconds, rounded down, as the service does it."""
        return int(self.approximate_creation_date_time)

    @property
    def key(self) -> str:
        """The item's key, the same text for the same item however it was written."""
        return orjson.dumps(orjson.loads(bytes(self.keys)), option=orjson.OPT_SORT_KEYS).decode()


_NAMES = {
    "event_id": "eventID",
    "event_name": "eventName",
    "event_version": "eventVersion",
    "event_source": "eventSource",
    "aws_region": "awsRegion",
    "user_identity": "userIdentity",
    "event_source_arn": "eventSourceARN",
}


class StreamRecord(Struct, kw_only=True, rename=_NAMES):
    """`Record` of the API, its members in the order of the event, so that it is written as it was read."""

    event_id: Raw = _NOTHING
    event_name: Raw = _NOTHING
    event_version: Raw = _NOTHING
    event_source: Raw = _NOTHING
    aws_region: Raw = _NOTHING
    user_identity: Mapping[str, str] | UnsetType | None = UNSET
    dynamodb: Change
    event_source_arn: str = ""


class Answer(Struct, rename="pascal"):
    """What GetRecords answers; no `NextShardIterator` means that the shard is closed and this was its end.

    Without `Records` it is no answer to this call, whoever gave it, and must not end a shard.
    """

    records: tuple[StreamRecord, ...]
    next_shard_iterator: str | None = None


_answer = msgspec.json.Decoder(Answer).decode
_write = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """From the bytes of an answer. Raises `msgspec.MsgspecError`, ValueError."""
    try:
        return _answer(body)
    except msgspec.MsgspecError:
        return _answer(mended(body))


def fragment_of(record: StreamRecord, arn: str) -> bytes:
    """The JSON fragment of a record of the stream with that ARN. Changes the record into the event's."""
    record.dynamodb.approximate_creation_date_time = record.dynamodb.created
    record.event_source_arn = arn
    if record.user_identity is not UNSET:
        record.user_identity = _lowered(record.user_identity or {}) or UNSET
    return _write(record)


def _lowered(identity: Mapping[str, str]) -> Mapping[str, str]:
    """Who made the change, if that was the service itself, as when time to live deletes an item."""
    named = {name.lower(): value for name, value in identity.items()}
    order = {"type": "type", "principalid": "principalId"}
    return {shown: named[name] for name, shown in order.items() if name in named}


class DynamoCodec:
    """`{"Records": […]}` around the fragments. A record's handle is the ARN of its stream."""

    @property
    def frame(self) -> int:
        """Bytes around the fragments."""
        return FRAME

    def render(self, records: Sequence[Record]) -> bytes:
        """The event of a batch."""
        return enveloped(records)

    def view(self, record: Record) -> Mapping[str, Any]:
        """The record as the function would see it; its data is an object already."""
        view: dict[str, Any] = orjson.loads(record.event)
        return view

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        """AWS's description of a batch, with times to the second ("Using AWS Lambda with Amazon DynamoDB")."""
        info = batch_info(shard_of(lane.name), records, records[0].handle, without_milliseconds)
        return {"DDBStreamBatchInfo": info}
