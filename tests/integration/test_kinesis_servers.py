"""The Kinesis source on servers: what several mappings take of a shard together, and resharding under load."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from esm.checkpoint import Start
from esm.model import Lane, Record
from esm.plugins import SourceContext
from esm.ports import Checkable, LogSource
from esm.sources.kinesis import PLUGIN
from esm.world import real_world
from servers import Server
from servers.streams import DataStream, StandIn, kinesis_client, kinesis_stand_in

NUMBERS = itertools.count()


def source_of(endpoint_url: str, stream: str) -> LogSource:
    context = SourceContext("m", {"endpoint_url": endpoint_url}, 0, real_world(), starting_position="TRIM_HORIZON")
    source = PLUGIN.make(PLUGIN.options.model_validate({"stream": stream}), context)
    assert isinstance(source, Checkable)
    return source  # type: ignore[return-value]


@pytest.fixture
def enforcing() -> Iterator[StandIn]:
    with kinesis_stand_in("--enforce") as server:
        yield server


async def read_all(source: LogSource, lane: Lane, count: int, limit: int) -> list[Record]:
    records: list[Record] = []
    async with source.open(lane, Start()) as reader:
        while len(records) < count:
            records += (await reader.read(limit, 1)).records
    return records


@pytest.mark.parametrize(("count", "size", "limit"), [(3000, 1024, 500), (60, 100, 3)])
async def test_several_mappings_stay_within_what_a_shard_gives(
    enforcing: StandIn, count: int, size: int, limit: int
) -> None:
    """Large pages for the bytes, small ones for the reads. A machine that stalls may cost a throttle, no more."""
    stream = DataStream(kinesis_client(enforcing.endpoint_url), "shared")
    enforcing.control("preload", StreamName="shared", Count=count, BodyBytes=size)
    sources = [source_of(enforcing.endpoint_url, name) for name in (stream.name, stream.arn)]
    lane = Lane("shardId-000000000000")
    async with asyncio.TaskGroup() as tasks:
        readings = [tasks.create_task(read_all(source, lane, count, limit)) for source in sources]
    numbers = [[record.seq for record in reading.result()] for reading in readings]
    assert numbers == [list(range(count))] * 2
    totals = enforcing.control("totals")
    assert totals["throttled"] * 20 <= totals["reads"]


async def test_a_pace_that_is_too_quick_is_throttled_and_loses_nothing(enforcing: StandIn) -> None:
    DataStream(kinesis_client(enforcing.endpoint_url), "quick")
    enforcing.control("preload", StreamName="quick", Count=20, BodyBytes=100)
    options = {"stream": "quick", "shard_reads_per_second": 1000}
    context = SourceContext(
        "m", {"endpoint_url": enforcing.endpoint_url}, 0, real_world(), starting_position="TRIM_HORIZON"
    )
    source: LogSource = PLUGIN.make(PLUGIN.options.model_validate(options), context)  # type: ignore[assignment]
    records = await read_all(source, Lane("shardId-000000000000"), 20, 2)
    assert [record.seq for record in records] == list(range(20))
    assert 1 <= enforcing.control("totals")["throttled"] <= 10


async def test_what_is_put_while_shards_split_and_merge_is_read_in_the_order_of_its_keys(
    kinesis_local: Server,
) -> None:
    """Parents to their end, then their children, as a mapping does it: every record once, each key in order."""
    stream = DataStream(kinesis_client(kinesis_local.endpoint_url), f"reshaped-{next(NUMBERS)}")
    put: list[tuple[str, str]] = []

    def load() -> None:
        for round_ in range(24):
            key = f"key-{round_ % 8}"
            put.extend((key, id_) for id_ in stream.put(1, key))
            if round_ in {6, 12}:
                stream.split()
            if round_ == 18:
                stream.merge()

    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(asyncio.to_thread(load))
        read = await _followed(source_of(kinesis_local.endpoint_url, stream.name), loading, put)
    assert sorted(read) == sorted(put)
    for key in {key for key, _ in put}:
        assert [id_ for each, id_ in read if each == key] == [id_ for each, id_ in put if each == key]


async def _followed(
    source: LogSource, loading: "asyncio.Task[None]", put: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """A lane is read when all its parents have ended; returns when everything that was put has been read."""
    read: list[tuple[str, str]] = []
    ended: set[str] = set()
    begun: set[str] = set()

    async def follow(lane: Lane, tasks: asyncio.TaskGroup) -> None:
        async with source.open(lane, Start()) as reader:
            while not loading.done() or len(read) < len(put):
                page = await reader.read(100, 0.5)
                read.extend((record.key or "", record.id) for record in page.records)
                if page.ended:
                    ended.add(lane.name)
                    begin(page.children or (), tasks)
                    return

    def begin(lanes: tuple[Lane, ...], tasks: asyncio.TaskGroup) -> None:
        for lane in lanes:
            if lane.name not in begun and ended.issuperset(lane.parents):
                begun.add(lane.name)
                tasks.create_task(follow(lane, tasks))

    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        begin((Lane("shardId-000000000000"),), tasks)
    return read
