"""One shard of the stand-in for Kinesis: its records, encoded once, and how far they can be read."""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_BYTES = 10 * 1024 * 1024
WINDOW = 1.0
READS, BYTES = 5, 2 * 1024 * 1024


class KinesisError(Exception):
    """An error of the service; `code` as in its API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Quota:
    """What the service gives of one shard: so many reads in a second, and bytes that may run a second ahead."""

    begun: list[float] = field(default_factory=list)
    paid_until: float = 0.0

    def admits(self, now: float) -> bool:
        self.begun = [each for each in self.begun if now - each < WINDOW]
        if len(self.begun) >= READS or self.paid_until - now >= WINDOW:
            return False
        self.begun.append(now)
        return True

    def charge(self, now: float, size: int) -> None:
        self.paid_until = max(self.paid_until, now) + size / BYTES


@dataclass(slots=True)
class Shard:
    """`keys`: the range of hashes it takes; `first`: its starting sequence number. The lists go side by side."""

    name: str
    keys: tuple[int, int]
    first: int
    parents: tuple[str, ...] = ()
    children: list[Shard] = field(default_factory=list)
    closed: bool = False
    trimmed: int = 0
    numbers: list[int] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    quota: Quota = field(default_factory=Quota)
    reads: int = 0

    def put(self, number: int, data: bytes, key: bytes, size: int) -> None:
        """`data` is base64, `key` a JSON string, `size` what the service counts."""
        arrived = int(time.time() * 1000) / 1000  # what it stands for is what it says
        self.numbers.append(number)
        self.arrivals.append(arrived)
        self.sizes.append(size)
        self.fragments.append(
            b'{"SequenceNumber":"%d","ApproximateArrivalTimestamp":%.3f,"Data":"%b","PartitionKey":%b}'
            % (number, arrived, data, key)
        )

    def index_of(self, arguments: dict[str, Any], now: float) -> int:
        """Where an iterator begins. Raises KinesisError."""
        match arguments["ShardIteratorType"]:
            case "TRIM_HORIZON":
                return self.trimmed
            case "LATEST":
                return len(self.numbers)
            case "AT_TIMESTAMP" if arguments["Timestamp"] > now:
                text = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
                raise KinesisError("InvalidArgumentException", text)
            case "AT_TIMESTAMP":
                return max(self.trimmed, bisect.bisect_left(self.arrivals, arguments["Timestamp"]))
        number = int(arguments["StartingSequenceNumber"])
        if number < self.first:
            text = f"StartingSequenceNumber {number} is invalid because it did not come from this stream."
            raise KinesisError("InvalidArgumentException", text)
        is_at = arguments["ShardIteratorType"] == "AT_SEQUENCE_NUMBER"
        find = bisect.bisect_left if is_at else bisect.bisect_right
        return max(self.trimmed, find(self.numbers, number))

    def page(self, begin: int, limit: int) -> tuple[int, int]:
        """The index behind a page of at most `limit` records and ten megabytes, and its size."""
        end, size = begin, 0
        last = min(begin + limit, len(self.numbers))
        while end < last and (end == begin or size + self.sizes[end] <= MOST_BYTES):
            size += self.sizes[end]
            end += 1
        return end, size

    def behind(self, index: int, now: float) -> int:
        """Milliseconds from the next record to now, 0 at the end."""
        return max(1, int((now - self.arrivals[index]) * 1000)) if index < len(self.numbers) else 0

    def described(self) -> dict[str, Any]:
        """As ListShards tells of it."""
        low, high = self.keys
        sequence = {"StartingSequenceNumber": str(self.first)}
        if self.closed:
            sequence["EndingSequenceNumber"] = str(self.numbers[-1] if self.numbers else self.first)
        return {
            "ShardId": self.name,
            "HashKeyRange": {"StartingHashKey": str(low), "EndingHashKey": str(high)},
            "SequenceNumberRange": sequence,
            **dict(zip(("ParentShardId", "AdjacentParentShardId"), self.parents, strict=False)),
        }

    def as_child(self) -> dict[str, Any]:
        """As the last page of a parent tells of it."""
        low, high = self.keys
        keys = {"StartingHashKey": str(low), "EndingHashKey": str(high)}
        return {"ShardId": self.name, "ParentShards": list(self.parents), "HashKeyRange": keys}


def shares(count: int) -> Iterator[tuple[int, int]]:
    """The hash space in `count` equal ranges."""
    whole = 2**128
    for number in range(count):
        yield whole * number // count, whole * (number + 1) // count - 1
