"""What arrived at the function, for the oracle: each record is looked at as it comes, of whichever source.

So a loop that is fast because it leaves something out does not pass: all fields of the Lambda event have to be
there, and a body as it was made. Where a source keeps order per key, a record that comes for the first time after
a later one of its key was overtaken.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec
import orjson
from msgspec import Raw, Struct, field

from benchmarks.figures import latency_summary


class Seen(NamedTuple):
    """One good record: its name at the source, the key whose order counts (None: none does), and its body."""

    name: str
    key: str | None
    number: int
    sent: float


class Record(Protocol):
    """One record of an event that has everything it should."""

    @property
    def event_source_arn(self) -> str: ...

    def seen(self) -> Seen | None: ...


class Said(Struct, gc=False):
    """A body, see `bodies.py`."""

    n: int
    sent: float
    pad: str


BODY = msgspec.json.Decoder(Said)


class SystemAttributes(Struct, gc=False):
    ApproximateReceiveCount: str
    SentTimestamp: str
    SenderId: str
    ApproximateFirstReceiveTimestamp: str


class SqsRecord(Struct, rename="camel", tag_field="eventSource", tag="aws:sqs", forbid_unknown_fields=True):
    message_id: str
    receipt_handle: str
    body: str
    attributes: SystemAttributes
    message_attributes: dict[str, Raw]
    md5_of_body: str
    event_source_arn: str = field(name="eventSourceARN")
    aws_region: str
    md5_of_message_attributes: str | None = None

    def seen(self) -> Seen | None:
        """None if the body is not the one whose MD5 SQS gave."""
        if hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest() != self.md5_of_body:
            return None
        said = BODY.decode(self.body)
        return Seen(self.message_id, None, said.n, said.sent)


class KinesisData(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    kinesis_schema_version: str
    partition_key: str
    sequence_number: str
    data: bytes
    approximate_arrival_timestamp: float


class KinesisRecord(
    Struct, rename="camel", tag_field="eventSource", tag="aws:kinesis", forbid_unknown_fields=True, gc=False
):
    kinesis: KinesisData
    event_version: str
    event_id: str = field(name="eventID")
    event_name: str
    invoke_identity_arn: str
    aws_region: str
    event_source_arn: str = field(name="eventSourceARN")

    def seen(self) -> Seen | None:
        """None if it has another record's name."""
        if not self.event_id.endswith(self.kinesis.sequence_number):
            return None
        said = BODY.decode(self.kinesis.data)
        return Seen(self.event_id, self.kinesis.partition_key, said.n, said.sent)


class Event(Struct):
    Records: list[SqsRecord | KinesisRecord]


class Doubtful(Struct):
    """An event of which something is wrong: who is it?"""

    Records: list[Raw]


EVENT, DOUBTFUL = msgspec.json.Decoder(Event), msgspec.json.Decoder(Doubtful)
RECORD: msgspec.json.Decoder[SqsRecord | KinesisRecord] = msgspec.json.Decoder(SqsRecord | KinesisRecord)


def good_ones(event: bytes) -> tuple[list[SqsRecord | KinesisRecord], int]:
    """Its records, and how many are left out because something is missing, too much, or of another type."""
    try:
        return EVENT.decode(event).Records, 0
    except msgspec.ValidationError:
        raw = DOUBTFUL.decode(event).Records
    good = []
    for each in raw:
        with contextlib.suppress(msgspec.ValidationError):
            good.append(RECORD.decode(each))
    return good, len(raw) - len(good)


class Arrivals:
    """Which record arrived how often, from which source, how old, and whether in order."""

    def __init__(self, read: Callable[[bytes], tuple[Sequence[Record], int]] = good_ones) -> None:
        """`read` gives the good records of an event, and the number of the others."""
        self._read = read
        self.deliveries: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.moments: list[float] = []
        self.ages: list[tuple[int, float]] = []
        self.malformed = 0
        self.overtaken = 0
        self._latest: dict[str, int] = {}

    def note(self, event: bytes, arrived: float) -> None:
        self.moments.append(arrived)
        records, malformed = self._read(event)
        self.malformed += malformed
        for record in records:
            try:
                seen = record.seen()
            except msgspec.MsgspecError:  # the body
                seen = None
            if seen is None:
                self.malformed += 1
                continue
            if seen.key is not None:
                self._in_turn(seen, seen.key)
            self.deliveries[seen.name] += 1
            self.shares[record.event_source_arn] += 1
            self.ages.append((seen.number, arrived - seen.sent))

    def _in_turn(self, seen: Seen, key: str) -> None:
        latest = self._latest.get(key, -1)
        if seen.number > latest:
            self._latest[key] = seen.number
        elif seen.name not in self.deliveries:
            self.overtaken += 1

    def totals(self) -> dict[str, int]:
        return {
            "posts": len(self.moments),
            "records": len(self.ages),
            "distinct": len(self.deliveries),
            "sources": len(self.shares),
            "malformed": self.malformed,
            "overtaken": self.overtaken,
        }

    def show(self, path: str) -> bytes:
        if path == "/totals":
            return orjson.dumps(self.totals())
        if path == "/ids":
            return orjson.dumps(list(self.deliveries))
        if path == "/shares":
            return orjson.dumps(self.shares)
        if path == "/arrivals":
            return orjson.dumps(self.moments)
        first = int(path.removeprefix("/latency/"))
        return orjson.dumps(latency_summary([age for number, age in self.ages if number >= first]))
