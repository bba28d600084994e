"""The suite for `LogSource` on DynamoDB streams: on two emulators, and on the fake that lets shards roll over.

No emulator splits shards, and DynamoDB itself never merges any: what the suite says of merges is Kinesis's part.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from contract_endings import Endings, endings, name_of

from benchmarks.fake_dynamodb_streams import FakeStreams
from esm.clients.aws import AwsOptions
from esm.plugins import SourceContext
from esm.ports import LogSource
from esm.sources.dynamodb import PLUGIN, DynamoOptions, DynamoSource
from esm.testing.log import lineage, suite
from esm.testing.log.bench import Bench, Harness, Rule
from esm.testing.log.suite import RULES
from esm.testing.loop import run
from esm.world import World, real_world
from servers import REGION, Server
from servers.tables import make_table

_EPOCH = 1_700_000_000.0
_BY_TABLE = {
    suite.brings_everything_once_and_in_order,
    suite.reports_a_missing_log,
    suite.begins_at_the_latest_without_a_gap,
}
_MERGES = {lineage.lists_children_with_their_parents}


@dataclass
class FakeBench:
    """Can be split and aged; a merge is nothing that DynamoDB has."""

    fake: FakeStreams
    source: LogSource

    async def put(self, count: int = 1, key: str = "k") -> Sequence[str]:
        return [self.fake.table.put(key, uuid.uuid4().hex) for _ in range(count)]

    async def split(self) -> None:
        self.fake.table.roll(into=2)

    async def merge(self) -> None:
        raise AssertionError("DynamoDB never merges shards")

    async def trim(self, count: int) -> None:
        for shard in self.fake.table.stream.shards.values():
            shard.trimmed = max(shard.trimmed, min(count, len(shard.records)))

    async def expire(self) -> None:
        self.fake.expire_iterators()


@dataclass
class FakeHarness:
    """`tells`: whether the service can be asked for the children of a shard; else the listing has to find them."""

    tells: bool = True

    async def log(self, *, latest: bool = False) -> Bench:
        fake = FakeStreams(_wall)
        fake.knows_filter = self.tells
        return FakeBench(fake, _on_fake(fake, fake.table.stream.arn, latest=latest))

    def missing(self) -> LogSource:
        fake = FakeStreams(_wall)
        return _on_fake(fake, fake.table.stream.arn + "1", latest=True)


def _on_fake(fake: FakeStreams, arn: str, *, latest: bool) -> DynamoSource:
    world = World(_monotonic, _wall, asyncio.sleep, lambda: 0.5, lambda: "id")
    return DynamoSource(DynamoOptions(stream=arn), AwsOptions(), fake.lease, latest=latest, world=world)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _wall() -> float:
    return _EPOCH + _monotonic()


async def _on(rule: Rule, harness: Harness) -> None:
    await rule(harness)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in _MERGES], ids=name_of)
def test_fake_stream_conforms(rule: Rule) -> None:
    run(_on(rule, FakeHarness(tells=rule is not lineage.looks_for_children_when_a_lane_ends)))


@dataclass
class ServerBench:
    client: Any
    table: str
    source: LogSource
    arn: str

    async def put(self, count: int = 1, key: str = "k") -> Sequence[str]:
        """The ids are the server's: read back by another client."""
        return await asyncio.to_thread(self._put, count, key)

    def _put(self, count: int, key: str) -> Sequence[str]:
        before = len(self._numbers())
        for _ in range(count):
            self.client("dynamodb").put_item(
                TableName=self.table, Item={"id": {"S": key}, "value": {"S": uuid.uuid4().hex}}
            )
        return self._numbers()[before:]

    def _numbers(self) -> list[str]:
        streams = self.client("dynamodbstreams")
        (shard,) = streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=self.arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = streams.get_records(ShardIterator=iterator)["Records"]
        return [record["dynamodb"]["SequenceNumber"] for record in records]


@dataclass
class ServerHarness:
    server: Server
    client: Callable[[str], Any]
    by_table: bool = False

    async def log(self, *, latest: bool = False) -> ServerBench:
        return await asyncio.to_thread(self._log, latest)

    def _log(self, latest: bool) -> ServerBench:  # noqa: FBT001 -- to_thread
        table, arn = make_table(self.client("dynamodb"), "NEW_AND_OLD_IMAGES")
        options = {"table": table} if self.by_table else {"stream": arn}
        return ServerBench(self.client, table, self._source(options, latest=latest), arn)

    def missing(self) -> LogSource:
        options = {"stream": f"arn:aws:dynamodb:{REGION}:000000000000:table/nobody/stream/2026-01-01T00:00:00.000"}
        return self._source({"table": "nobody"} if self.by_table else options, latest=True)

    def _source(self, options: dict[str, str], *, latest: bool) -> LogSource:
        context = SourceContext(
            mapping="contract",
            aws={"endpoint_url": self.server.endpoint_url, "region": REGION},
            window=0,
            world=real_world(),
            starting_position="LATEST" if latest else "TRIM_HORIZON",
        )
        source = PLUGIN.make(PLUGIN.options.model_validate(options), context)
        assert isinstance(source, DynamoSource)
        return source


@pytest.fixture(scope="module")
def client(dynamodb_server: Server) -> Iterator[Callable[[str], Any]]:
    """Gives a boto3 client of a service on the server."""
    services = ("dynamodb", "dynamodbstreams")
    opened = {
        name: boto3.session.Session().client(name, region_name=REGION, endpoint_url=dynamodb_server.endpoint_url)
        for name in services
    }
    with closing(opened["dynamodb"]), closing(opened["dynamodbstreams"]):
        yield opened.__getitem__


_CASES = {
    f"{name_of(rule)}-{'table' if by_table else 'stream'}": (rule, by_table)
    for rule in RULES
    for by_table in (False, True)
    if rule not in lineage.RULES and (not by_table or rule in _BY_TABLE)
}


@pytest.fixture(scope="module")
def server_endings(dynamodb_server: Server, client: Callable[[str], Any]) -> Endings:
    return endings(
        {
            case: partial(rule, ServerHarness(dynamodb_server, client, by_table))
            for case, (rule, by_table) in _CASES.items()
        }
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", _CASES)
def test_dynamodb_stream_conforms(case: str, server_endings: Endings) -> None:
    if error := server_endings[case]:
        raise error
