"""The DynamoDB source against real servers, as far as they have what it is about."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from esm.checkpoint import Start
from esm.model import Lane, Record
from esm.plugins import SourceContext
from esm.sources.dynamodb import PLUGIN, DynamoSource
from esm.world import real_world
from servers import REGION, Server
from servers.streams import StandIn
from servers.tables import make_table

Clients = Callable[[str], Any]


@pytest.fixture
def boto() -> Iterator[Clients]:
    """Clients for DynamoDB by endpoint."""
    opened: dict[str, Any] = {}

    def client(endpoint_url: str) -> Any:
        if endpoint_url not in opened:
            session = boto3.session.Session()
            opened[endpoint_url] = session.client("dynamodb", region_name=REGION, endpoint_url=endpoint_url)
        return opened[endpoint_url]

    yield client
    for each in opened.values():
        each.close()


def a_source(server: Server | StandIn, position: str = "TRIM_HORIZON", **options: str) -> DynamoSource:
    context = SourceContext(
        mapping="m",
        aws={"endpoint_url": server.endpoint_url, "region": REGION},
        window=0,
        world=real_world(),
        starting_position=position,
    )
    source = PLUGIN.make(PLUGIN.options.model_validate(options), context)
    assert isinstance(source, DynamoSource)
    return source


async def gather(source: DynamoSource, lane: Lane, count: int) -> list[Record]:
    records: list[Record] = []
    async with source.open(lane, Start()) as reader, asyncio.timeout(20):
        while len(records) < count:
            records += (await reader.read(1000, 1.0)).records
    return records


@pytest.mark.parametrize(
    ("view", "new", "old"),
    [
        ("KEYS_ONLY", False, False),
        ("NEW_IMAGE", True, False),
        ("OLD_IMAGE", False, True),
        ("NEW_AND_OLD_IMAGES", True, True),
    ],
)
async def test_every_view_type_reaches_the_event(
    dynamodb_server: Server, boto: Clients, view: str, *, new: bool, old: bool
) -> None:
    client = boto(dynamodb_server.endpoint_url)
    item = {
        "id": {"S": "ü"},
        "number": {"N": "3.14"},
        "bytes": {"B": b"\x00\xff"},
        "list": {"L": [{"BOOL": True}, {"NULL": True}, {"M": {"deep": {"SS": ["a", "b"]}}}]},
    }

    def change() -> str:
        name, arn = make_table(client, view)
        client.put_item(TableName=name, Item=item)
        client.put_item(TableName=name, Item={**item, "number": {"N": "4"}})
        client.delete_item(TableName=name, Key={"id": {"S": "ü"}})
        return arn

    source = a_source(dynamodb_server, stream=await asyncio.to_thread(change))
    (lane,) = await anext(source.lanes())
    records = await gather(source, lane, 3)
    event = json.loads(source.codec.render(records))["Records"]
    assert [record["eventName"] for record in event] == ["INSERT", "MODIFY", "REMOVE"]
    written = {**item, "bytes": {"B": "AP8="}}
    changed = {**written, "number": {"N": "4"}}
    images = [(record["dynamodb"].get("NewImage"), record["dynamodb"].get("OldImage")) for record in event]
    assert images == [
        (written if new else None, None),
        (changed if new else None, written if old else None),
        (None, changed if old else None),
    ]
    assert {record["dynamodb"]["StreamViewType"] for record in event} == {view}
    assert {record.key for record in records} == {'{"id":{"S":"ü"}}'}
    assert all(isinstance(record["dynamodb"]["ApproximateCreationDateTime"], int) for record in event)


async def test_a_table_is_followed_when_its_stream_is_made_anew(ministack: Server, boto: Clients) -> None:
    client = boto(ministack.endpoint_url)
    name, _ = await asyncio.to_thread(make_table, client, "KEYS_ONLY")
    source = a_source(ministack, table=name)
    listing = source.lanes()
    (old,) = await anext(listing)

    def again() -> None:
        client.put_item(TableName=name, Item={"id": {"S": "before"}})
        client.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
        client.update_table(
            TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        )
        client.put_item(TableName=name, Item={"id": {"S": "after"}})

    await asyncio.to_thread(again)
    async with source.open(old, Start()) as reader, asyncio.timeout(20):
        page = await reader.read(1000, 1.0)
        read = [record.key for record in page.records]
        while not page.ended:
            page = await reader.read(1000, 1.0)
        lanes = await anext(listing)
    (new,) = [lane for lane in lanes if lane.parents == (old.name,)]
    read += [record.key for record in await gather(source, new, 1)]
    assert read == ['{"id":{"S":"before"}}', '{"id":{"S":"after"}}']


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """The fake, whose shards roll over and whose items expire, behind real HTTP."""
    command = (sys.executable, "-m", "benchmarks.fake_dynamodb")
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield StandIn(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


async def test_a_table_whose_shards_roll_over_is_read_whole_and_in_order(stand_in: StandIn) -> None:
    """With deletes by time to live, and a stream that is made anew in the middle."""

    def happen() -> None:
        stand_in.control("put", Key="a", Count=3)
        stand_in.control("roll", Into=2)
        stand_in.control("put", Key="a", Value=4, Count=2)
        stand_in.control("create", View="NEW_IMAGE")
        stand_in.control("put", Key="a", Value=6)
        stand_in.control("roll")
        stand_in.control("delete", Key="a", Expired=True)

    await asyncio.to_thread(happen)
    source = a_source(stand_in, table="orders")
    lanes = {lane.name: lane for lane in await anext(source.lanes())}
    assert len(lanes) == 5
    read: list[Record] = []
    ended: set[str] = set()
    while ready := [lane for name, lane in lanes.items() if name not in ended and ended.issuperset(lane.parents)]:
        for lane in ready:
            async with source.open(lane, Start()) as reader, asyncio.timeout(20):
                page = await reader.read(2, 0.1)
                while page.records:
                    read += page.records
                    page = await reader.read(2, 0.1)
            ended.add(lane.name)
    assert ended == set(lanes)
    event = json.loads(source.codec.render(read))["Records"]
    images = [record["dynamodb"].get("NewImage", {}).get("n", {}).get("N") for record in event]
    assert images == ["1", "2", "3", "4", "5", "6", None]
    assert event[-1]["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


async def test_a_check_finds_nothing_wrong_with_a_stream(dynamodb_server: Server, boto: Clients) -> None:
    client = boto(dynamodb_server.endpoint_url)
    name, arn = await asyncio.to_thread(make_table, client, "NEW_IMAGE")
    assert not await a_source(dynamodb_server, stream=arn).check()
    assert not await a_source(dynamodb_server, table=name).check()
    (finding,) = await a_source(dynamodb_server, table=f"{name}-not").check()
    assert finding.broken
    assert "has no stream" in finding.text
