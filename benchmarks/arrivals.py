"""What arrived at the function, for the oracle: each record is looked at as it comes, of whichever source.

So a loop that is fast because it leaves something out does not pass: all fields of the Lambda event have to be
there, and a body as it was made. Where a source keeps order per key, a record that comes for the first time after
a later one of its key was overtaken.
"""

from __future__ import annotations

import binascii
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from benchmarks.figures import latency_summary

SQS_REQUIRED = {
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfBody",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
}
SQS_OPTIONAL = {"md5OfMessageAttributes"}
SYSTEM_ATTRIBUTES = {
    "ApproximateReceiveCount",
    "SentTimestamp",
    "SenderId",
    "ApproximateFirstReceiveTimestamp",
}
KINESIS_REQUIRED = {
    "kinesis",
    "eventSource",
    "eventVersion",
    "eventID",
    "eventName",
    "invokeIdentityArn",
    "awsRegion",
    "eventSourceARN",
}
KINESIS_DATA = {
    "kinesisSchemaVersion",
    "partitionKey",
    "sequenceNumber",
    "data",
    "approximateArrivalTimestamp",
}

Record = dict[str, Any]


class Seen(NamedTuple):
    """One good record: its name at the source, the key whose order counts (None: none does), and its body."""

    name: str
    key: str | None
    number: int
    sent: float


def of_sqs(record: Record) -> Seen | None:
    """None if something is missing or wrong; the body's MD5 must be the one that SQS gave."""
    names = set(record)
    body: str = record.get("body", "")
    if (
        names >= SQS_REQUIRED
        and names <= SQS_REQUIRED | SQS_OPTIONAL
        and record["attributes"].keys() >= SYSTEM_ATTRIBUTES
        and hashlib.md5(body.encode(), usedforsecurity=False).hexdigest() == record["md5OfBody"]
    ):
        said = orjson.loads(body)
        return Seen(record["messageId"], None, said["n"], said["sent"])
    return None


def of_kinesis(record: Record) -> Seen | None:
    """None if something is missing or wrong; the id must be of the sequence number, and the data base64."""
    data: Record = record.get("kinesis", {})
    if record.keys() != KINESIS_REQUIRED or data.keys() != KINESIS_DATA:
        return None
    name: str = record["eventID"]
    try:
        said = orjson.loads(binascii.a2b_base64(data["data"]))
    except ValueError:
        return None
    if not name.endswith(f":{data['sequenceNumber']}") or not said["pad"]:
        return None
    return Seen(name, data["partitionKey"], said["n"], said["sent"])


LOOKS: dict[str, Callable[[Record], Seen | None]] = {"aws:sqs": of_sqs, "aws:kinesis": of_kinesis}


class Arrivals:
    """Which record arrived how often, from which source, how old, and whether in order."""

    def __init__(self) -> None:
        self.deliveries: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.moments: list[float] = []
        self.ages: list[tuple[int, float]] = []
        self.malformed = 0
        self.overtaken = 0
        self._latest: dict[str, int] = {}

    def note(self, event: bytes, arrived: float) -> None:
        self.moments.append(arrived)
        for record in orjson.loads(event)["Records"]:
            look = LOOKS.get(record.get("eventSource"))
            seen = look(record) if look else None
            if seen is None:
                self.malformed += 1
                continue
            if seen.key is not None:
                self._in_turn(seen, seen.key)
            self.deliveries[seen.name] += 1
            self.shares[record["eventSourceARN"]] += 1
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
