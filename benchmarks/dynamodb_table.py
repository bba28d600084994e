"""A DynamoDB table in memory with its streams, old ones too: what happens to it is in the shards of the last.

Shards roll over and split, time to live deletes items, and a stream is made anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
BOTH_IMAGES = "NEW_AND_OLD_IMAGES"
_TTL = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}


@dataclass(slots=True)
class FakeShard:
    """Takes items whose key has its hash in `keys`. `trimmed` of its records are gone; `hidden`: unlisted yet."""

    id: str
    parent: str | None
    first: int
    keys: range
    records: list[dict[str, Any]] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False
    hidden: bool = False


@dataclass(slots=True)
class FakeStream:
    arn: str
    view: str
    enabled: bool = True
    shards: dict[str, FakeShard] = field(default_factory=dict)

    @property
    def open(self) -> list[FakeShard]:
        return [shard for shard in self.shards.values() if not shard.closed]


class FakeTable:
    """`now` is the service's clock in epoch seconds, `view` the view type of the first stream."""

    def __init__(self, now: Callable[[], float], view: str) -> None:
        self.now = now
        self.streams: list[FakeStream] = []
        self.items: dict[str, dict[str, Any]] = {}
        self._sequence = 111_000_000_000_000_000_000
        self._shards = 0
        self._made = 0
        self.create(view)

    def create(self, view: str | None = None) -> FakeStream:
        """Switches the stream off, if there is one, and on again: a new stream."""
        self.disable()
        made = datetime.fromtimestamp(1_600_000_000 + 60 * self._made, UTC)
        self._made += 1
        label = made.strftime("%Y-%m-%dT%H:%M:%S.000")
        view = view or self.streams[-1].view
        self.streams.append(FakeStream(f"{ARN}/stream/{label}", view))
        self._add(None, range(2**32))
        return self.stream

    def disable(self) -> None:
        """The stream stays readable."""
        for stream in self.streams[-1:]:
            stream.enabled = False
            for shard in stream.shards.values():
                shard.closed = True

    def forget_stream(self, index: int = 0) -> None:
        """A day after it was switched off."""
        del self.streams[index]

    @property
    def stream(self) -> FakeStream:
        return self.streams[-1]

    def put(self, key: str, value: Any = 1, **more: Any) -> str:
        """Writes an item; returns the sequence number of its record."""
        return self._change(key, {"id": {"S": key}, "n": {"N": str(value)}, **more})

    def delete(self, key: str, *, expired: bool = False) -> str:
        """`expired`: time to live does it."""
        return self._change(key, None, **({"userIdentity": _TTL} if expired else {}))

    def roll(self, *, into: int = 1, hidden: bool = False) -> list[FakeShard]:
        """Every open shard is closed, and `into` others go on for each."""
        children = []
        for shard in self.stream.open:
            step = -(-len(shard.keys) // into)
            children += [
                self._add(shard, shard.keys[n * step : (n + 1) * step], hidden=hidden) for n in range(into)
            ]
        return children

    def show(self) -> None:
        """All shards are listed from now on."""
        for stream in self.streams:
            for shard in stream.shards.values():
                shard.hidden = False

    def _add(self, parent: FakeShard | None, keys: range, *, hidden: bool = False) -> FakeShard:
        self._shards += 1
        self._sequence += 1
        shard_id = f"shardId-{self._shards:020d}-{crc32(str(self._shards).encode()):08x}"
        shard = FakeShard(shard_id, parent.id if parent else None, self._sequence, keys, hidden=hidden)
        if parent:
            parent.closed = True
        self.stream.shards[shard_id] = shard
        return shard

    def _change(self, key: str, new: dict[str, Any] | None, **more: Any) -> str:
        old = self.items.get(key)
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        self._sequence += 7
        view = self.stream.view
        change: dict[str, Any] = {
            "ApproximateCreationDateTime": float(int(self.now())),
            "Keys": {"id": {"S": key}},
            "SequenceNumber": str(self._sequence),
            "SizeBytes": 26,
            "StreamViewType": view,
        }
        if new is not None and view.startswith("NEW"):
            change["NewImage"] = new
        if old is not None and view in {"OLD_IMAGE", "NEW_AND_OLD_IMAGES"}:
            change["OldImage"] = old
        record = {
            "awsRegion": "eu-west-1",
            "dynamodb": change,
            "eventID": f"{self._sequence:032x}",
            "eventName": "REMOVE" if new is None else "MODIFY" if old is not None else "INSERT",
            "eventSource": "aws:dynamodb",
            "eventVersion": "1.1",
            **more,
        }
        hashed = crc32(key.encode())
        next(shard for shard in self.stream.open if hashed in shard.keys).records.append(record)
        return str(self._sequence)
