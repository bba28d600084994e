"""One shard of a stream, as the shared reader asks it (DynamoDB Streams API 2012-08-10)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from esm.checkpoint import Position, Start
from esm.clients.aws_errors import translated
from esm.errors import Disconnected, LaneGone
from esm.model import Lane, Record, Rejected
from esm.sources.dynamodb.event import Answer, StreamRecord, fragment_of, read_answer
from esm.sources.dynamodb.start import count_before, second_of
from esm.sources.envelope import LARGEST_FRAGMENT, too_large
from esm.sources.shards import EXPIRED, TRIMMED, Fetched, numbers_of

SERVICE = "DynamoDB Streams"
MISSING = "NonExistentStream"
PAGE = 1000
"""The most records of one GetRecords, and 1 MB of them (DynamoDB Streams API reference)."""

Fetch = Callable[[str, Mapping[str, Any]], Awaitable[bytes]]
"""One call: the operation's name and its arguments. Returns the JSON of the answer, raises as botocore does."""

_T = TypeVar("_T")
_IDLE = 0.25  # four times per second, the base rate of event source mappings
_OLD = 3.0
_REFUSED = "InvalidArgument"


class DynamoShard:
    """A `Shard`. `named` is how calls name it; `first` is its first sequence number, "" if unknown.

    `by_time`: whether the server may be asked for a place by its time. `children` finds the lanes that go on.
    """

    page = PAGE
    idle = _IDLE
    inclusive = True

    def __init__(
        self, fetch: Fetch, named: Mapping[str, str], first: str, *, by_time: bool,
        wall: Callable[[], float], children: Callable[[], Awaitable[tuple[Lane, ...] | None]],
    ) -> None:  # fmt: skip
        self._call = fetch
        self._named = named
        self._digits = len(first)
        self._by_time = by_time
        self._wall = wall
        self._children = children
        self._arn = named["StreamArn"]
        self._from: float | None = None

    async def iterator(self, place: Position | Start) -> str:
        """At a position, or at the oldest record if it was trimmed: the record at it tells.

        For a time at it, where the server knows times, else at the oldest record too.
        """
        if isinstance(place, Start):
            self._from = place.time
            return await self._iterator_from(place.time)
        self._from = None
        # A sequence number has as many digits as the shard's first one, or more: some servers put zeros in front.
        number = str(place).zfill(self._digits)
        try:
            return await self._iterator("AT_SEQUENCE_NUMBER", SequenceNumber=number)
        except Disconnected as problem:
            if problem.code == TRIMMED:
                return await self._iterator("TRIM_HORIZON")
            if problem.code == _REFUSED:  # never was one of this shard: a server that began anew
                raise Disconnected(TRIMMED, problem.reason) from None
            raise

    async def _iterator_from(self, time: float | None) -> str:
        if time is not None and self._by_time:
            try:
                return await self._iterator("AT_TIMESTAMP", Timestamp=second_of(time))
            except Disconnected as problem:
                if problem.code != _REFUSED:
                    raise
                self._by_time = False
        return await self._iterator("TRIM_HORIZON")

    async def fetch(self, iterator: str, limit: int) -> Fetched:
        """One GetRecords; what lies before the start is left out, as if it were not there."""
        answer = await self._answer(iterator, limit)
        items, begun = self._since_start(answer.records)
        is_end = answer.next_shard_iterator is None
        children = await self._children() if is_end else None
        if begun:  # not before the last call: without its answer, the same page is fetched again
            self._from = None
        return Fetched(items, answer.next_shard_iterator, children, self._behind(answer, limit))

    def _since_start(self, items: Sequence[StreamRecord]) -> tuple[Sequence[StreamRecord], bool]:
        """What of a page counts, and whether everything behind it does."""
        if self._from is None:
            return items, True
        items = items[count_before([item.dynamodb.created for item in items], self._from) :]
        return items, bool(items)

    def position(self, item: StreamRecord) -> Position:
        """Sequence numbers grow within a shard."""
        with numbers_of(SERVICE):
            return int(item.dynamodb.sequence_number)

    def encode(self, items: Sequence[StreamRecord], seq: int, read: float) -> tuple[list[Record], list[Rejected]]:
        """The stream's ARN is their handle."""
        records: list[Record] = []
        rejected: list[Rejected] = []
        with numbers_of(SERVICE):
            everything = [self._record(item, number, read) for number, item in enumerate(items, seq)]
        for record in everything:
            if len(record.event) > LARGEST_FRAGMENT:
                rejected.append(Rejected(record, too_large(record.event)))
            else:
                records.append(record)
        return records, rejected

    def _record(self, item: StreamRecord, seq: int, read: float) -> Record:
        change = item.dynamodb
        return Record(
            seq=seq,
            id=change.sequence_number,
            key=change.key,
            arrived=float(change.created),
            read=read,
            event=fragment_of(item, self._arn),
            handle=self._arn,
            position=int(change.sequence_number),
        )

    def _behind(self, answer: Answer, limit: int) -> float:
        """Estimated from the age of the last record: a page that is not full and ends with a fresh one is the end.

        So is an empty page, although AWS has empty ones in between as well: reading on is only a little later.
        """
        if not answer.records or answer.next_shard_iterator is None:
            return 0.0
        age = max(0.0, self._wall() - answer.records[-1].dynamodb.created)
        return max(age, 1.0) if age > _OLD or len(answer.records) >= limit else 0.0

    async def _answer(self, iterator: str, limit: int) -> Answer:
        try:
            body = await self._ask("GetRecords", {"ShardIterator": iterator, "Limit": limit})
        except Disconnected as problem:
            if problem.code in {TRIMMED, _REFUSED}:  # another one for the same place tells what is lost, if any
                raise Disconnected(EXPIRED, problem.reason) from None
            raise
        return _understood(read_answer, body, "GetRecords")

    async def _iterator(self, kind: str, **more: Any) -> str:
        body = await self._ask("GetShardIterator", {**self._named, "ShardIteratorType": kind, **more})
        return _understood(_read_iterator, body, "GetShardIterator").shard_iterator

    async def _ask(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        try:
            with translated(SERVICE, self._arn):
                return await self._call(operation, arguments)
        except Disconnected as problem:
            if problem.code == MISSING:
                raise LaneGone(MISSING, problem.reason) from None
            raise


class _Iterator(msgspec.Struct, rename="pascal"):
    shard_iterator: str


_read_iterator = msgspec.json.Decoder(_Iterator).decode


def _understood(read: Callable[[bytes], _T], body: bytes, operation: str) -> _T:
    try:
        return read(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Disconnected("BadAnswer", f"{SERVICE} answered {operation} with something else: {error}") from None
