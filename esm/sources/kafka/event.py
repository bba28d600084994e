"""Kafka records as the event of an invocation.

The shapes are those of "Using Lambda with Amazon MSK" and "Using Lambda with self-managed Apache Kafka" in the AWS
Lambda Developer Guide, key by key. One payload holds records of one partition (D11). A record is encoded once, as
it is read; base64 and JSON are one step.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
import orjson
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE, Message
from msgspec import UNSET, Struct, UnsetType

from esm.core.batching import PAYLOAD_LIMIT
from esm.core.filtering import view_of
from esm.core.notice_times import with_milliseconds
from esm.core.partial import offset_id
from esm.model import Lane, Record, Rejected

_TRAILER = b"]}}"
_HIGHEST_PARTITION = 2**31 - 1
_TYPES = {
    TIMESTAMP_NOT_AVAILABLE: "NO_TIMESTAMP_TYPE",
    TIMESTAMP_CREATE_TIME: "CREATE_TIME",
    TIMESTAMP_LOG_APPEND_TIME: "LOG_APPEND_TIME",
}
_encode = msgspec.json.Encoder().encode

Headers = list[dict[str, list[int] | None]]


_NO_HEADERS: Headers = []
_UNREADABLE = [("\N{REPLACEMENT CHARACTER}", None)]
"""Stands for all headers of a record that has one whose name is not UTF-8: the client gives none of them."""

_read_headers: Any = Message.headers


class _Fragment(Struct, gc=False):
    """A record in its event. Bytes become base64; what is unset is left out.

    A record without key has none here, as in AWS's own samples. One without value, a tombstone, has `null`: it has
    been seen as `null` and as no member at all (powertools-lambda-typescript, issues 4988 and 5016), and a handler
    that knows the one knows the other, while in most languages reading a missing member is an error.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestampType: str  # noqa: N815 -- AWS's spelling
    key: bytes | UnsetType
    value: bytes | None
    headers: Headers


class Envelope(Struct, frozen=True):
    """What stands around the records: `arn` is the cluster's, empty for brokers that are not Amazon MSK."""

    bootstrap: str
    topic: str
    arn: str = ""

    def header(self, partition: int) -> bytes:
        """Up to the first record of a partition."""
        members = {"eventSource": "aws:kafka" if self.arn else "SelfManagedKafka"}
        if self.arn:
            members["eventSourceArn"] = self.arn
        members["bootstrapServers"] = self.bootstrap
        return orjson.dumps(members)[:-1] + b',"records":{%b:[' % orjson.dumps(lane_name(self.topic, partition))

    @property
    def frame(self) -> int:
        """Bytes around the records, of any partition."""
        return len(self.header(_HIGHEST_PARTITION)) + len(_TRAILER)


class KafkaCodec:
    """The records of one partition in their envelope. A record's handle is the header of its partition.

    `envelope` is asked each time: the brokers of a cluster may be known only once they have been found.
    """

    def __init__(self, envelope: Callable[[], Envelope]) -> None:
        self._envelope = envelope

    @property
    def frame(self) -> int:
        """Bytes around the fragments at most: the name of a partition has more or fewer digits."""
        return self._envelope().frame

    def render(self, records: Sequence[Record]) -> bytes:
        """The event of a batch."""
        return b"".join((records[0].handle, b",".join([record.event for record in records]), _TRAILER))

    def view(self, record: Record) -> Mapping[str, Any]:
        """The record as the function would see it, with key and value in bytes, where patterns expect them."""
        return view_of(orjson.loads(record.event), "kafka")

    def describe(self, lane: Lane, records: Sequence[Record]) -> Mapping[str, Any]:
        """AWS's description of a batch: offsets are text, times have milliseconds."""
        envelope = self._envelope()
        first, last = records[0], records[-1]
        around = len(first.handle) + len(_TRAILER) + len(records) - 1
        info: dict[str, Any] = {"batchSize": len(records)}
        if envelope.arn:
            info["eventSourceArn"] = envelope.arn
        info["bootstrapServers"] = envelope.bootstrap
        info["payloadSize"] = around + sum(len(record.event) for record in records)
        info["recordsInfo"] = {
            lane.name: {
                "firstRecordOffset": str(first.position),
                "lastRecordOffset": str(last.position),
                "firstRecordTimestamp": with_milliseconds(first.arrived),
                "lastRecordTimestamp": with_milliseconds(last.arrived),
            }
        }
        return {"KafkaBatchInfo": info}


class Encoder:
    """Makes the records of one partition, numbered from 0.

    What is done for each record is written out in place: it is half of what a small record costs the engine.
    """

    def __init__(self, envelope: Envelope, partition: int) -> None:
        self._topic = envelope.topic
        self._partition = partition
        self._header = envelope.header(partition)
        self._room = PAYLOAD_LIMIT - len(self._header) - len(_TRAILER)
        self._prefix = offset_id(lane_name(envelope.topic, partition), 0)[:-1]
        self._seq = 0

    def encode(
        self, messages: Sequence[Message], read: float, now: float
    ) -> tuple[list[Record], list[Rejected], int]:
        """Records that were read at `read` (monotonic), those above the payload limit, and bytes of all fragments.

        `now` (epoch) stands for a missing timestamp.
        """
        records: list[Record] = []
        rejected: list[Rejected] = []
        size, room = 0, self._room
        topic, partition, prefix, header = self._topic, self._partition, self._prefix, self._header
        for seq, message, headers in zip(count(self._seq), messages, _headers_of(messages), strict=False):
            offset: int = message.offset()  # type: ignore[assignment]
            kind, milliseconds = message.timestamp()
            key: Any = message.key()
            event = _encode(
                _Fragment(
                    topic,
                    partition,
                    offset,
                    milliseconds,
                    _TYPES[kind],
                    UNSET if key is None else key,
                    message.value(),
                    _signed(headers) if headers else _NO_HEADERS,
                )
            )
            id_ = f"{prefix}{offset}"
            # Without a key there is no order to keep, so such a record has one of its own (docs/decisions: 34).
            ordering = id_ if key is None else key.decode("latin-1")
            arrived = milliseconds / 1000 if kind and milliseconds >= 0 else now
            record = Record(seq, id_, ordering, arrived, read, event, header, offset)
            length = len(event)
            size += length
            if length > room:
                rejected.append(Rejected(record, too_large(length, room)))
            else:
                records.append(record)
        self._seq += len(messages)
        return records, rejected, size


def lane_name(topic: str, partition: int) -> str:
    """What the event calls a partition."""
    return f"{topic}-{partition}"


def partition_of(lane: str) -> int:
    """Of a lane named by `lane_name`."""
    return int(lane.rpartition("-")[2])


def too_large(size: int, room: int) -> str:
    """Why a record is rejected."""
    return f"the event of this record alone takes {size:,} bytes of {room:,}"


def _headers_of(messages: Sequence[Message]) -> list[Any]:
    """Of each; None where there are none.

    For a name that is not UTF-8 the client library sets an error and returns a list with a hole all the same. Who
    calls it from a loop in Python is given that list, and touching it ends the process. Called from C, as here, it
    is the error; to ask a second time would be the list again.
    """
    found: list[Any] = []
    rest = map(_read_headers, messages)
    while len(found) < len(messages):
        try:
            found += rest
        except (SystemError, UnicodeError):
            found.append(_UNREADABLE)
    return found


def _signed(headers: Sequence[tuple[str, bytes | None]]) -> Headers:
    """Java's bytes, from -128 to 127; a header's value may be null."""
    return [{name: None if value is None else memoryview(value).cast("b").tolist()} for name, value in headers]
