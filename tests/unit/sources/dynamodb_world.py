"""What the tests of the DynamoDB source share: the fake service, a source on it, and a reader of everything."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from benchmarks.fake_dynamodb_streams import FakeStreams
from esm.checkpoint import Position, Start
from esm.clients.aws import AwsOptions
from esm.model import Lane, LogPage, Record
from esm.sources.dynamodb import DynamoOptions, DynamoSource
from esm.world import World

OLDEST = Start()
EPOCH = 1_700_000_000.0


def now() -> float:
    """The service's clock, and ours."""
    return EPOCH + asyncio.get_running_loop().time()


def a_world() -> World:
    return World(
        lambda: asyncio.get_running_loop().time(), now, asyncio.sleep, random.Random(1).random, lambda: "id"
    )


def a_source(fake: FakeStreams, *, latest: bool = False, table: bool = False, **aws: Any) -> DynamoSource:
    options = DynamoOptions(table="orders") if table else DynamoOptions(stream=fake.table.stream.arn)
    return DynamoSource(options, AwsOptions(**aws), fake.lease, latest=latest, world=a_world())


async def first_lanes(source: DynamoSource) -> list[Lane]:
    async for lanes in source.lanes():
        return list(lanes)
    raise AssertionError("no lanes")


async def read_some(
    source: DynamoSource, lane: Lane, after: Position | Start = OLDEST, reads: int = 1, wait: float = 1.0
) -> list[LogPage]:
    async with source.open(lane, after) as reader:
        return [await reader.read(1000, wait) for _ in range(reads)]


def values(pages: Sequence[LogPage]) -> list[str]:
    """The keys of the items that were read."""
    return [key_of(record) for page in pages for record in page.records]


def key_of(record: Record) -> str:
    return str(json.loads(record.event)["dynamodb"]["Keys"]["id"]["S"])
