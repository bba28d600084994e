"""What is asked now and then: which streams a table has, which shards a stream has, what time it is there.

DescribeStream is limited to ten calls per second and account, and a listing takes one call for each hundred
shards, so all mappings of the process take turns.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from esm.clients.aws import OF_AWS, AwsClient, AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.core.pacing import Quota
from esm.errors import Disconnected
from esm.sources.dynamodb.lineage import Shard, Stream, label_of, stream_of, table_of
from esm.sources.dynamodb.options import DynamoOptions
from esm.sources.dynamodb.shard import MISSING, SERVICE
from esm.sources.shards import Fetched, pacer_of
from esm.world import World

ON = {"ENABLED", "ENABLING"}
"""The statuses of a stream that new records come to."""

_GONE = {MISSING, "InvalidArgument"}
"""Of a stream: it was forgotten, a day after it was switched off, or never was one of this source."""

_QUOTA = Quota(reads=8.0, size=float("inf"))  # leaves some to others of the account


class Service:
    """The service as one source asks it, opened; see `opened`."""

    def __init__(self, client: AwsClient, options: DynamoOptions, aws: AwsOptions, world: World) -> None:
        self._cold = client.cold
        self._options = options
        self.fetch = client.hot.fetch
        self.endpoint = str(client.cold.meta.endpoint_url)
        self.knows_time = (urlsplit(self.endpoint).hostname or "").endswith(OF_AWS)
        self._pacer = pacer_of(("DescribeStream", self.endpoint, aws), _QUOTA, world)
        self._world = world

    async def streams(self, known: Sequence[str], begun: Collection[str]) -> list[Stream]:
        """All streams to read, with their shards. `known`: those seen before, which are read to their end.

        `begun` are lanes of an earlier run: not every server lists a stream that was switched off, but tells of it
        when it is asked for by name. Raises `Disconnected`, also if there is none.
        """
        if self._options.stream:
            return [await self.described(self._options.stream)]
        streams = []
        listed = await self.listed()
        former = [stream_of(lane, listed[0]) for lane in begun] if listed else []
        for arn in dict.fromkeys([*known, *former, *listed]):
            try:
                streams.append(await self.described(arn))
            except Disconnected as problem:
                if problem.code not in _GONE:  # otherwise its last shards might be overtaken
                    raise
        if not streams:
            raise self._no_stream()
        return streams

    async def listed(self) -> list[str]:
        """The ARNs of the table's streams, with those of the last day that were switched off."""
        arns: list[str] = []
        more: Mapping[str, Any] = {}
        while True:
            answer = await self._ask(self._cold.list_streams, TableName=self._options.table, **more)
            arns += [stream["StreamArn"] for stream in answer.get("Streams") or ()]
            if not answer.get("LastEvaluatedStreamArn"):
                return [arn for arn in arns if table_of(arn) == self._options.table]  # not every server looks
            more = {"ExclusiveStartStreamArn": answer["LastEvaluatedStreamArn"]}

    async def described(self, arn: str, **filtered: Any) -> Stream:
        """A stream with all its shards, or those that a filter lets through."""
        shards: list[Shard] = []
        more: Mapping[str, Any] = {}
        while True:
            description = await self._describe(arn, **filtered, **more)
            shards += [_shard(each) for each in description.get("Shards") or ()]
            if not description.get("LastEvaluatedShardId"):
                return Stream(arn, tuple(shards), description.get("StreamStatus") in ON)
            more = {"ExclusiveStartShardId": description["LastEvaluatedShardId"]}

    async def children(self, arn: str, shard: str) -> tuple[Shard, ...]:
        """The shards that go on where one has ended, as far as they are listed already.

        A server that does not know the filter answers with all shards, or refuses. Raises `Disconnected`.
        """
        stream = await self.described(arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": shard})
        return tuple(each for each in stream.shards if each.parent == shard)

    async def latest(self) -> str:
        """The ARN of the stream that new records come to. Raises `Disconnected`, also if there is none."""
        if self._options.stream:
            return self._options.stream
        arn = max(await self.listed(), key=label_of, default=None)
        if arn is None:
            raise self._no_stream()
        return arn

    async def summary(self, arn: str) -> Mapping[str, Any]:
        """What DescribeStream says, with some of the shards."""
        return await self._describe(arn)

    async def now(self) -> float:
        """The service's time in whole epoch seconds. Raises `Disconnected`, also if there is no stream."""
        answer = await self._ask(self._cold.describe_stream, StreamArn=await self.latest(), Limit=1)
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        try:
            return parsedate_to_datetime(told).timestamp()
        except ValueError:
            return self._world.wall()

    async def _describe(self, arn: str, **more: Any) -> Mapping[str, Any]:
        answer = await self._ask(self._cold.describe_stream, StreamArn=arn, **more)
        with translated(SERVICE, arn):
            description: Mapping[str, Any] = answer["StreamDescription"]
            return description

    def _no_stream(self) -> Disconnected:
        return Disconnected(
            MISSING,
            f"{self._options.called} has no stream: enable one, or correct name, region and account",
            lasting=True,
        )

    async def _ask(self, call: Callable[..., Awaitable[Mapping[str, Any]]], **arguments: Any) -> Mapping[str, Any]:
        """One call in its turn."""

        async def fetch() -> Fetched:
            with translated(SERVICE, self._options.called):
                return Fetched((await call(**arguments),))

        answer: Mapping[str, Any] = (await self._pacer.read(fetch)).items[0]
        return answer


@asynccontextmanager
async def opened(lease: Lease, options: DynamoOptions, aws: AwsOptions, world: World) -> AsyncIterator[Service]:
    """The service for as long as the context is open. Raises `Disconnected`."""
    async with AsyncExitStack() as stack:
        with translated(SERVICE):
            client = await stack.enter_async_context(lease("dynamodbstreams", aws))
        yield Service(client, options, aws, world)


def _shard(described: Mapping[str, Any]) -> Shard:
    numbers = described.get("SequenceNumberRange") or {}
    return Shard(
        described["ShardId"],
        described.get("ParentShardId"),
        numbers.get("StartingSequenceNumber") or "",
        bool(numbers.get("EndingSequenceNumber")),
    )
