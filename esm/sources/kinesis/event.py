"""Kinesis records as the event of an invocation.

The shape is the one in "Using Lambda to process records from Amazon Kinesis Data Streams" of the AWS Lambda
Developer Guide, key by key in the order AWS sends them. A record is encoded once, when it is read; its data is
base64 when it comes and when it goes, and never decoded in between.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from esm.core.filtering import view_of
from esm.model import Lane, Record, Rejected
from esm.sources.kinesis.answers import Item
from esm.sources.shards.event import FRAME, LARGEST_FRAGMENT, batch_info, enveloped, too_large


class KinesisCodec:
    """`{"Records": […]}` around the fragments. A record's handle is the ARN of its stream."""

    @property
    def frame(self) -> int:
        """Bytes around the fragments."""
        return FRAME

    def render(self, records: Sequence[Record]) -> bytes:
        """The event of a batch."""
        return enveloped(records)

    def view(self, record: Record) -> Mapping[str, Any]:
        """The record as the function would see it, and beside that its data in bytes, where patterns expect it."""
        return view_of(orjson.loads(record.event), "kinesis")

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        """AWS's description of a batch, with times to the millisecond."""
        return {"KinesisBatchInfo": batch_info(lane.name, records, records[0].handle, _to_the_millisecond)}


class Encoder:
    """Makes the records of one shard. `stream` and `identity` are ARNs; `identity` reads the stream."""

    def __init__(self, stream: str, shard: str, identity: str) -> None:
        self._stream = stream
        self._head = b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":'
        self._middle = b'},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"%b:' % shard.encode()
        self._tail = (
            b'","eventName":"aws:kinesis:record","invokeIdentityArn":%b,"awsRegion":%b,"eventSourceARN":%b}'
            % tuple(orjson.dumps(text) for text in (identity, stream.split(":")[3], stream))
        )

    def encode(
        self, items: Sequence[Item], seq: int, read: float, now: float
    ) -> tuple[list[Record], list[Rejected]]:
        """Records numbered from `seq`, read at `read` (monotonic); `now` (epoch) stands for a missing arrival."""
        records: list[Record] = []
        rejected: list[Rejected] = []
        for item in items:
            id_ = item.SequenceNumber
            arrived = item.ApproximateArrivalTimestamp
            if arrived is None:
                arrived = now
            event = self._fragment(id_.encode(), item, arrived)
            record = Record(seq, id_, _text(item.PartitionKey), arrived, read, event, self._stream, int(id_))
            seq += 1
            if len(event) > LARGEST_FRAGMENT:
                rejected.append(Rejected(record, too_large(event)))
            else:
                records.append(record)
        return records, rejected

    def _fragment(self, number: bytes, item: Item, arrived: float) -> bytes:
        """Joined rather than formatted, which takes twice as long."""
        return b"".join(
            (
                self._head,
                item.PartitionKey,
                b',"sequenceNumber":"',
                number,
                b'","data":',
                item.Data,
                b',"approximateArrivalTimestamp":%.3f' % arrived,
                self._middle,
                number,
                self._tail,
            )
        )


def _text(raw: msgspec.Raw) -> str:
    """What a JSON string says; a key only has to be the same for the same text."""
    written = bytes(raw)
    if b"\\" not in written:
        return written[1:-1].decode(errors="replace")
    return msgspec.json.decode(written, type=str)


def _to_the_millisecond(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
