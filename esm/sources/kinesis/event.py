"""Kinesis records as the event of an invocation.

The shape is the one in "Using Lambda to process records from Amazon Kinesis Data Streams" of the AWS Lambda
Developer Guide, key by key in the order AWS sends them. A record is encoded once, when it is read; its data is
base64 when it comes and when it goes, and never decoded in between.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from esm.core.filtering import view_of
from esm.core.notice_times import with_milliseconds
from esm.model import Lane, Record, Rejected
from esm.sources.envelope import FRAME, LARGEST_FRAGMENT, enveloped, too_large
from esm.sources.kinesis.answers import Item
from esm.sources.shards.event import batch_info


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
        return {"KinesisBatchInfo": batch_info(lane.name, records, records[0].handle, with_milliseconds)}


class Encoder:
    """Makes the records of one shard. `stream` and `identity` are ARNs; `identity` reads the stream."""

    def __init__(self, stream: str, shard: str, identity: str) -> None:
        self._stream = stream
        self._middle = f'}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{shard}:'
        self._tail = (
            f'","eventName":"aws:kinesis:record","invokeIdentityArn":{_quoted(identity)},'
            f'"awsRegion":{_quoted(stream.split(":")[3])},"eventSourceARN":{_quoted(stream)}}}'
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
            event = self._fragment(item, arrived)
            record = Record(seq, id_, item.PartitionKey, arrived, read, event, self._stream, int(id_))
            seq += 1
            if len(event) > LARGEST_FRAGMENT:
                rejected.append(Rejected(record, too_large(event)))
            else:
                records.append(record)
        return records, rejected

    def _fragment(self, item: Item, arrived: float) -> bytes:
        """Put together as text: an f-string is quicker than anything that makes bytes of as many pieces."""
        number = item.SequenceNumber
        return (
            f'{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":{_quoted(item.PartitionKey)}'
            f',"sequenceNumber":"{number}","data":"{item.Data}","approximateArrivalTimestamp":{arrived:.3f}'
            f"{self._middle}{number}{self._tail}"
        ).encode()


def _quoted(text: str) -> str:
    """As JSON."""
    return orjson.dumps(text).decode()
