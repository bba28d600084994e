"""A scripted Kinesis client, and what the tests of the Kinesis source share."""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import orjson

from esm.clients.aws import AwsOptions
from esm.sources.begin import Begin, StartingPosition
from esm.sources.kinesis import KinesisOptions, KinesisSource
from esm.world import World

ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"
DATE = "Sat, 21 Nov 2026 18:21:10 GMT"
SECOND = 1_795_285_270.0
SHARD = "shardId-000000000006"


def a_shard(name: str, *parents: str, first: str = "49") -> dict[str, Any]:
    """As ListShards tells of it."""
    named = dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))
    return {"ShardId": name, "SequenceNumberRange": {"StartingSequenceNumber": first}, **named}


class StubKinesis:
    """Cold and hot client in one. `pages` are the answers of ListShards, `answers` those of the hot calls;
    `raises` are the errors of the next calls of any kind."""

    meta = SimpleNamespace(endpoint_url="https://kinesis.us-east-2.amazonaws.com", region_name="us-east-2")

    def __init__(self, *pages: list[dict[str, Any]], status: str = "ACTIVE", date: str | None = DATE) -> None:
        self.pages = pages or ([a_shard(SHARD)],)
        self.status = status
        self.headers = {} if date is None else {"date": date}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.raises: deque[BaseException] = deque()
        self.answers: deque[Any] = deque()

    @property
    def cold(self) -> "StubKinesis":
        return self

    @property
    def hot(self) -> "StubKinesis":
        return self

    async def describe_stream_summary(self, **arguments: Any) -> dict[str, Any]:
        self._note("DescribeStreamSummary", arguments)
        return {"StreamDescriptionSummary": {"StreamARN": ARN, "StreamStatus": self.status}}

    async def list_shards(self, **arguments: Any) -> dict[str, Any]:
        self._note("ListShards", arguments)
        number = int(arguments.get("NextToken", 0))
        more = {"NextToken": str(number + 1)} if number + 1 < len(self.pages) else {}
        return {"Shards": self.pages[number], "ResponseMetadata": {"HTTPHeaders": self.headers}, **more}

    async def fetch(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        self._note(operation, dict(arguments))
        if self.answers:
            answer = self.answers.popleft()
            return answer if isinstance(answer, bytes) else orjson.dumps(answer)
        empty = {"Records": [], "NextShardIterator": "next", "MillisBehindLatest": 0}
        return orjson.dumps({"ShardIterator": "first"} if operation == "GetShardIterator" else empty)

    def _note(self, operation: str, arguments: dict[str, Any]) -> None:
        self.calls.append((operation, arguments))
        if self.raises:
            raise self.raises.popleft()


def a_world() -> World:
    now = asyncio.get_running_loop().time
    return World(now, lambda: 1_000_000.7, asyncio.sleep, random.Random(1).random, lambda: "id")


def a_source(
    kinesis: Any, position: str = "TRIM_HORIZON", time: float | None = None, **options: Any
) -> KinesisSource:
    def lease(_service: str, _options: AwsOptions) -> AbstractAsyncContextManager[Any]:
        return nullcontext(kinesis)

    chosen = KinesisOptions(**{"stream": ARN, **options})
    return KinesisSource(
        chosen, chosen.reach({}), lease, begin=Begin(StartingPosition(position), time), world=a_world()
    )
