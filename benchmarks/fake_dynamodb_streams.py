"""A DynamoDB Streams service in memory, with what no emulator has: shards that roll over and split, time to live,
streams that are made anew, trimming, iterators that expire, children that are listed late.

`FakeStreams` answers in the wire's own JSON, and stands in for a leased client too.
"""

import asyncio
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from benchmarks.dynamodb_table import ARN, FakeShard, FakeStream, FakeTable
from esm.clients.aws import AwsOptions

_MOST_RECORDS = 1000
_MOST_BYTES = 2**20


def refused(code: str, operation: str = "GetRecords", message: str = "no") -> ClientError:
    metadata = {"HTTPStatusCode": 500 if code == "InternalServerError" else 400}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)


class FakeStreams:
    """The streams of one `table`. `now`: the service's clock in epoch seconds; each call takes `latency` seconds.

    `knows_at_timestamp`, `knows_filter`: whether the server has these. `raises[operation]` are errors of the next
    calls. `quiet_pages`: that many answers are empty before one with records. `page`: shards per page listed.
    """

    def __init__(
        self, now: Callable[[], float], *, view: str = "NEW_AND_OLD_IMAGES", latency: float = 0.01
    ) -> None:
        self.table = FakeTable(now, view)
        self.latency = latency
        self.knows_at_timestamp = self.knows_filter = True
        self.lists_old_streams = self.lists_table_only = True
        self.quiet_pages = 0
        self.page = 100
        self.raises: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.calls: Counter[str] = Counter()
        self.called_at: list[tuple[str, float]] = []
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.meta = SimpleNamespace(endpoint_url="https://streams.dynamodb.eu-west-1.amazonaws.com")
        self._iterators = self._oldest_iterator = 0

    def expire_iterators(self) -> None:
        """As after 15 minutes."""
        self._oldest_iterator = self._iterators + 1

    @property
    def cold(self) -> "FakeStreams":
        return self

    @property
    def hot(self) -> "FakeStreams":
        return self

    def lease(self, service: str, _options: AwsOptions) -> AbstractAsyncContextManager[Any]:
        assert service == "dynamodbstreams"
        return nullcontext(self)

    async def list_streams(self, **arguments: Any) -> dict[str, Any]:
        return await self.call("ListStreams", arguments)

    async def describe_stream(self, **arguments: Any) -> dict[str, Any]:
        return await self.call("DescribeStream", arguments)

    async def fetch(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        return json.dumps(await self.call(operation, arguments)).encode()

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.calls[operation] += 1
        self.called_at.append((operation, asyncio.get_running_loop().time()))
        self.asked.append((operation, dict(arguments)))
        await asyncio.sleep(self.latency)
        if self.raises[operation]:
            raise self.raises[operation].popleft()
        told = datetime.fromtimestamp(int(self.table.now()), UTC)
        metadata = {"HTTPHeaders": {"date": format_datetime(told, usegmt=True)}}
        return {**self.answer(operation, arguments), "ResponseMetadata": metadata}

    def answer(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the service answers at once. Raises botocore's `ClientError`."""
        answers = {
            "DescribeStream": self._describe,
            "GetRecords": self._records,
            "GetShardIterator": self._iterator,
            "ListStreams": self._list,
        }
        return answers[operation](arguments)

    def _list(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Some servers list the streams of all tables."""
        own = [each.arn for each in self.table.streams if each.enabled or self.lists_old_streams]
        arns = [*own, ARN.replace("orders", "others") + "/stream/2030-01-01T00:00:00.000"]
        if self.lists_table_only:
            arns = own if ARN.endswith(f"/{arguments['TableName']}") else []
        return {"Streams": [{"StreamArn": arn} for arn in arns]}

    def _describe(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        stream = self._named(arguments["StreamArn"], "DescribeStream")
        shards = [shard for shard in stream.shards.values() if not shard.hidden]
        if "ShardFilter" in arguments:
            if not self.knows_filter:
                raise refused("ValidationException", "DescribeStream")
            shards = [shard for shard in shards if shard.parent == arguments["ShardFilter"]["ShardId"]]
        if after := arguments.get("ExclusiveStartShardId"):
            shards = shards[[shard.id for shard in shards].index(after) + 1 :]
        listed = shards[: min(self.page, arguments.get("Limit", 100))]
        more = {"LastEvaluatedShardId": listed[-1].id} if len(listed) < len(shards) else {}
        return {
            "StreamDescription": {
                "StreamArn": stream.arn,
                "StreamStatus": "ENABLED" if stream.enabled else "DISABLED",
                "StreamViewType": stream.view,
                "Shards": [_described(shard) for shard in listed],
                **more,
            }
        }

    def _iterator(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        shard = self._shard(arguments["StreamArn"], arguments["ShardId"], "GetShardIterator")
        match arguments["ShardIteratorType"]:
            case "TRIM_HORIZON":
                index = shard.trimmed
            case "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER" as kind:
                index = _index_of(shard, arguments["SequenceNumber"]) + (kind == "AFTER_SEQUENCE_NUMBER")
                if index - (kind == "AFTER_SEQUENCE_NUMBER") < shard.trimmed:
                    raise refused("TrimmedDataAccessException", "GetShardIterator")
            case "AT_TIMESTAMP" if self.knows_at_timestamp:
                index = _index_at(shard, arguments["Timestamp"])
            case _:
                raise refused("ValidationException", "GetShardIterator")
        return {"ShardIterator": self._token(arguments["StreamArn"], shard.id, index)}

    def _records(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        number, arn, shard_id, index = json.loads(arguments["ShardIterator"])
        shard = self._shard(arn, shard_id, "GetRecords")
        if number < self._oldest_iterator:
            raise refused("ExpiredIteratorException")
        if index < shard.trimmed:
            raise refused("TrimmedDataAccessException")
        if self.quiet_pages:
            self.quiet_pages -= 1
            return {"Records": [], "NextShardIterator": self._token(arn, shard_id, index)}
        page = shard.records[index : index + min(arguments.get("Limit", _MOST_RECORDS), _MOST_RECORDS)]
        while len(page) > 1 and len(json.dumps(page)) > _MOST_BYTES:
            page = page[: len(page) // 2]
        index += len(page)
        if shard.closed and index == len(shard.records):
            return {"Records": page}
        return {"Records": page, "NextShardIterator": self._token(arn, shard_id, index)}

    def _token(self, arn: str, shard: str, index: int) -> str:
        self._iterators += 1
        return json.dumps([self._iterators, arn, shard, index])

    def _named(self, arn: str, operation: str) -> FakeStream:
        for stream in self.table.streams:
            if stream.arn == arn:
                return stream
        raise refused(
            "ResourceNotFoundException", operation, f"Requested resource not found: Stream: {arn} not found"
        )

    def _shard(self, arn: str, shard: str, operation: str) -> FakeShard:
        stream = self._named(arn, operation)
        if shard not in stream.shards:
            raise refused(
                "ResourceNotFoundException", operation, "Requested resource not found: Shard does not exist"
            )
        return stream.shards[shard]


def _described(shard: FakeShard) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": str(shard.first)}
    if shard.closed:
        last = shard.records[-1]["dynamodb"]["SequenceNumber"] if shard.records else str(shard.first)
        numbers["EndingSequenceNumber"] = last
    parent = {"ParentShardId": shard.parent} if shard.parent else {}
    return {"ShardId": shard.id, "SequenceNumberRange": numbers, **parent}


def _index_of(shard: FakeShard, number: str) -> int:
    numbers = [record["dynamodb"]["SequenceNumber"] for record in shard.records]
    if number not in numbers:
        raise refused("ValidationException", "GetShardIterator", "Invalid SequenceNumber")
    return numbers.index(number)


def _index_at(shard: FakeShard, time: float) -> int:
    for index, record in enumerate(shard.records):
        if index >= shard.trimmed and record["dynamodb"]["ApproximateCreationDateTime"] >= time:
            return index
    return len(shard.records)
