"""The DynamoDB source on virtual time, against a service that rolls its shards over as AWS does."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from dynamodb_world import EPOCH, OLDEST, a_source, first_lanes, now, read_some, values

from benchmarks.dynamodb_table import ARN as TABLE
from benchmarks.dynamodb_table import FakeStream
from benchmarks.fake_dynamodb_streams import FakeStreams, refused
from esm.checkpoint import Start
from esm.errors import Disconnected, LaneGone
from esm.model import Lane
from esm.sources.dynamodb import DynamoSource
from esm.testing.loop import run


def test_everything_is_read_in_order() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        numbers = [fake.table.put(f"k{n % 3}", n) for n in range(2500)]
        (lane,) = await first_lanes(source := a_source(fake))
        pages = await read_some(source, lane, reads=3)
        records = [record for page in pages for record in page.records]
        assert [record.id for record in records] == numbers
        assert [record.position for record in records] == [int(number) for number in numbers]
        assert [record.seq for record in records] == list(range(2500))
        assert {record.key for record in records} == {f'{{"id":{{"S":"k{n}"}}}}' for n in range(3)}
        assert [page.upto for page in pages] == [int(numbers[n]) for n in (999, 1999, 2499)]
        assert records[0].arrived == EPOCH
        assert records[0].handle == fake.table.stream.arn

    run(main())


def test_deletes_by_time_to_live_are_told_from_others() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        for key in ("a", "b"):
            fake.table.put(key)
        fake.table.delete("a")
        fake.table.delete("b", expired=True)
        (lane,) = await first_lanes(source := a_source(fake))
        (page,) = await read_some(source, lane)
        views = [source.codec.view(record) for record in page.records]
        assert [view["eventName"] for view in views] == ["INSERT", "INSERT", "REMOVE", "REMOVE"]
        who = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        assert [view.get("userIdentity") for view in views] == [None, None, None, who]

    run(main())


def test_reading_goes_on_behind_a_position() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        numbers = [fake.table.put(f"k{n}") for n in range(5)]
        (lane,) = await first_lanes(source := a_source(fake))
        assert values(await read_some(source, lane, int(numbers[2]))) == ["k3", "k4"]

    run(main())


def test_zeros_that_a_server_puts_in_front_are_kept() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        shard = fake.table.stream.open[0]
        shard.first = "000000000000000000000000000001"  # type: ignore[assignment]
        numbers = [fake.table.put(f"k{n}") for n in range(3)]
        for record in shard.records:
            record["dynamodb"]["SequenceNumber"] = record["dynamodb"]["SequenceNumber"].zfill(30)
        (lane,) = await first_lanes(source := a_source(fake))
        (page,) = await read_some(source, lane, int(numbers[0]))
        assert values([page]) == ["k1", "k2"]
        assert page.records[0].id == numbers[1].zfill(30)

    run(main())


def test_an_idle_shard_is_read_four_times_a_second() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        (lane,) = await first_lanes(source := a_source(fake))
        await read_some(source, lane, reads=10)
        assert 38 <= fake.calls["GetRecords"] <= 45

    run(main())


def test_a_trickle_does_not_make_it_read_faster() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        (lane,) = await first_lanes(source := a_source(fake))
        async with source.open(lane, Start()) as reader, asyncio.timeout(60), asyncio.TaskGroup() as tasks:

            async def write() -> None:
                for number in range(200):
                    fake.table.put(f"k{number}")
                    await asyncio.sleep(0.05)

            tasks.create_task(write())
            seen: list[str] = []
            while len(seen) < 200:
                seen += values([await reader.read(1000, 1.0)])
        assert seen == [f"k{number}" for number in range(200)]
        assert fake.calls["GetRecords"] <= 45  # in ten seconds

    run(main())


def test_backlog_is_read_at_once() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        for number in range(5000):
            fake.table.put(f"k{number}")
        await asyncio.sleep(100)
        (lane,) = await first_lanes(source := a_source(fake))
        started = now()
        assert len(values(await read_some(source, lane, reads=5))) == 5000
        assert now() - started < 1.0

    run(main())


def test_two_mappings_share_the_reads_of_a_shard() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        for number in range(20_000):
            fake.table.put(f"k{number}")
        (lane,) = await first_lanes(source := a_source(fake))
        other = a_source(fake)
        await asyncio.sleep(100)
        async with asyncio.TaskGroup() as tasks:
            for each in (source, other):
                tasks.create_task(read_some(each, lane, reads=20))
        times = [at for operation, at in fake.called_at if operation == "GetRecords"]
        assert all(sum(start <= at < start + 1 for at in times) <= 11 for start in times)

    run(main())


def test_empty_answers_in_between_are_no_end() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.quiet_pages = 3
        fake.table.put("k")
        (lane,) = await first_lanes(source := a_source(fake))
        assert values(await read_some(source, lane)) == ["k"]

    run(main())


def test_the_end_of_a_shard_names_its_children_at_once() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("k")
        (lane,) = await first_lanes(source := a_source(fake))
        async with source.open(lane, Start()) as reader:
            assert values([await reader.read(1000, 1.0)]) == ["k"]
            children = fake.table.roll(into=2)
            page = await reader.read(1000, 1.0)
            assert page.ended
            assert [child.name.rpartition("/")[2] for child in page.children or ()] == [
                each.id for each in children
            ]
            assert {child.parents for child in page.children or ()} == {(lane.name,)}
            again = await reader.read(1000, 1.0)
            assert (again.ended, again.children) == (True, page.children)
        assert fake.asked[-1][1]["ShardFilter"] == {
            "Type": "CHILD_SHARDS",
            "ShardId": lane.name.rpartition("/")[2],
        }

    run(main())


def test_children_that_are_listed_late_are_found_by_the_listing_soon() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        source = a_source(fake)
        sets = source.lanes()
        (lane,) = await anext(sets)
        fake.table.roll(hidden=True)
        (page,) = await read_some(source, lane)
        assert (page.ended, page.children) == (True, None)
        asyncio.get_running_loop().call_later(3.0, fake.table.show)
        ended = now()
        assert len(await anext(sets)) == 2
        assert now() - ended < 8.0

    run(main())


def test_a_server_without_the_filter_for_children_leaves_them_to_the_listing() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.knows_filter = False
        source = a_source(fake)
        sets = source.lanes()
        (lane,) = await anext(sets)
        fake.table.roll()
        (page,) = await read_some(source, lane)
        assert page.ended
        ended = now()
        assert len(await anext(sets)) == 2
        assert now() - ended < 3.0

    run(main())


def test_known_children_are_not_asked_for() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.roll()
        lanes = await first_lanes(source := a_source(fake))
        before = fake.calls["DescribeStream"]
        (page,) = await read_some(source, lanes[0])
        assert [child.name for child in page.children or ()] == [lanes[1].name]
        assert fake.calls["DescribeStream"] == before

    run(main())


def test_a_closed_shard_that_was_never_read_is_read() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("a")
        fake.table.roll(into=2)
        fake.table.put("b")
        fake.table.roll()
        fake.table.put("c")
        source = a_source(fake)
        assert await drain(source) == ["a", "b", "c"]

    run(main())


def test_a_long_list_of_shards_is_read_page_by_page() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.page = 3
        for _ in range(9):
            fake.table.roll()
        assert len(await first_lanes(a_source(fake))) == 10
        assert fake.calls["DescribeStream"] == 4

    run(main())


def test_listings_of_many_mappings_stay_below_the_limit_of_the_account() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.page = 1
        fake.table.roll(into=4)
        fake.table.disable()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(first_lanes(a_source(fake)))
        times = [at for operation, at in fake.called_at if operation == "DescribeStream"]
        assert len(times) == 100
        assert all(sum(start <= at < start + 1 for at in times) <= 10 for start in times)

    run(main())


def test_quiet_streams_are_listed_about_once_a_minute() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        with suppress(TimeoutError):
            async with asyncio.timeout(600):
                async for _ in a_source(fake).lanes():
                    pass
        assert 8 <= fake.calls["DescribeStream"] <= 14

    run(main())


@pytest.mark.parametrize("knows_at_timestamp", [True, False])
def test_latest_begins_at_the_services_own_time(*, knows_at_timestamp: bool) -> None:
    async def main() -> None:
        fake = FakeStreams(lambda: now() + 7200)  # our clock is two hours slow
        fake.knows_at_timestamp = knows_at_timestamp
        for number in range(3000):
            fake.table.put(f"old{number}")
        fake.table.roll()
        fake.table.put("old")
        await asyncio.sleep(5)
        source = a_source(fake, latest=True)
        start = await source.begin()
        assert start.time == EPOCH + 7205
        fake.table.put("new")
        fake.table.roll()
        fake.table.put("newer")
        await asyncio.sleep(300)
        assert await drain(a_source(fake), start) == ["new", "newer"]

    run(main())


def test_a_start_jumps_over_old_records_where_the_service_can() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        for number in range(5000):
            fake.table.put(f"k{number}")
        await asyncio.sleep(10)
        (lane,) = await first_lanes(source := a_source(fake))
        before = fake.calls["GetRecords"]
        (page,) = await read_some(source, lane, Start(now()), wait=0)
        assert not page.records
        assert fake.calls["GetRecords"] == before + 1

    run(main())


def test_nothing_is_checkpointed_before_the_start() -> None:
    """Behind such a checkpoint, a restart would deliver what is older than the start."""

    async def main() -> None:
        fake = FakeStreams(now)
        fake.knows_at_timestamp = False
        for number in range(1500):
            fake.table.put(f"k{number}")
        await asyncio.sleep(10)
        (lane,) = await first_lanes(source := a_source(fake))
        pages = await read_some(source, lane, Start(now()), reads=3)
        assert [page.upto for page in pages] == [None] * 3
        assert not values(pages)

    run(main())


def test_a_read_that_is_cut_off_does_not_forget_where_to_begin() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.knows_at_timestamp = False
        fake.table.put("old")
        await asyncio.sleep(10)
        start = Start(now())
        fake.table.put("new")
        (lane,) = await first_lanes(source := a_source(fake))
        async with source.open(lane, start) as reader:
            fake.table.roll(hidden=True)  # so that the page is followed by a search for children
            for cut in (0.005, 0.025, 0.005, 0.015):  # a call takes 0.01 s
                await asyncio.sleep(1)  # until it is our turn
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(cut):
                        assert values([await reader.read(1000, 0)]) == ["never"]
            assert fake.calls["GetRecords"] == 3
            assert values([await reader.read(1000, 1.0)]) == ["new"]

    run(main())


def test_an_expired_iterator_is_no_loss() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        (lane,) = await first_lanes(source := a_source(fake))
        async with source.open(lane, Start()) as reader:
            fake.table.put("a")
            pages = [await reader.read(1000, 1.0)]
            fake.expire_iterators()
            fake.table.put("b")
            pages += [await reader.read(1000, 1.0) for _ in range(2)]
        assert values(pages) == ["a", "b"]
        assert all(page.lost == 0 for page in pages)

    run(main())


def test_a_trimmed_position_goes_on_at_the_oldest_and_says_so() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        first = fake.table.put("a")
        fake.table.put("b")
        fake.table.put("c")
        fake.table.stream.open[0].trimmed = 2
        (lane,) = await first_lanes(source := a_source(fake))
        pages = await read_some(source, lane, int(first), reads=2)
        assert values(pages) == ["c"]
        assert [page.lost for page in pages] == [None, 0]

    run(main())


def test_trimming_before_the_start_is_no_loss() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.knows_at_timestamp = False
        for number in range(1200):
            fake.table.put(f"k{number}")
        await asyncio.sleep(10)
        start = Start(now())
        fake.table.put("new")
        (lane,) = await first_lanes(source := a_source(fake))
        async with source.open(lane, start) as reader:
            assert not values([await reader.read(1000, 0)])
            fake.table.stream.open[0].trimmed = 1100
            pages = [await reader.read(1000, 1.0) for _ in range(2)]
        assert values(pages) == ["new"]
        assert all(page.lost == 0 for page in pages)

    run(main())


def test_a_position_of_another_stream_is_a_trimmed_one() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("a")
        (lane,) = await first_lanes(source := a_source(fake))
        pages = await read_some(source, lane, 4711, reads=2)
        assert (pages[0].lost, values(pages)) == (None, ["a"])

    run(main())


@pytest.mark.parametrize("code", ["LimitExceededException", "ProvisionedThroughputExceededException"])
def test_throttles_pass_without_loss(code: str) -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("a")
        (lane,) = await first_lanes(source := a_source(fake))
        fake.raises["GetRecords"].extend([refused(code)] * 3)
        async with source.open(lane, Start()) as reader:
            pages = [await reader.read(1000, 1.0) for _ in range(30)]
        assert values(pages) == ["a"]

    run(main())


def test_a_sequence_number_that_is_no_number_is_a_bad_answer_and_moves_nothing() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("a")
        fake.table.put("b")
        (shard,) = fake.table.stream.shards.values()
        change = shard.records[1]["dynamodb"]
        good, change["SequenceNumber"] = change["SequenceNumber"], "49-b"
        source = a_source(fake)
        (lane,) = await first_lanes(source)
        async with source.open(lane, OLDEST) as reader:
            with pytest.raises(Disconnected, match=r"what is no number.*'49-b'") as raised:
                await reader.read(10, 0)
            assert raised.value.code == "BadAnswer"
            change["SequenceNumber"] = good
            assert values([await reader.read(10, 0)]) == ["a", "b"]

    run(main())


def test_a_missing_stream_is_a_lasting_problem() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        source = a_source(fake)
        lane = (await first_lanes(source))[0]
        fake.table.forget_stream()
        fake.table.streams.append(FakeStream(f"{TABLE}/stream/2026-01-01T00:00:00.000", "KEYS_ONLY"))
        with pytest.raises(Disconnected) as listing:
            await first_lanes(source)
        with pytest.raises(Disconnected) as reading:
            await read_some(source, lane)
        for problem in (listing.value, reading.value):
            assert (problem.code, problem.lasting) == ("NonExistentStream", True)
        assert isinstance(reading.value, LaneGone)
        with pytest.raises(LaneGone):
            await read_some(a_source(fake, table=True), Lane("2020-09-13T12:26:40.000/shardId-1"))

    run(main())


@pytest.mark.parametrize("lists_old_streams", [True, False])
def test_a_table_is_followed_from_stream_to_stream(*, lists_old_streams: bool) -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.lists_old_streams = lists_old_streams
        source = a_source(fake, table=True)
        sets = source.lanes()
        fake.table.put("a")
        assert len(await anext(sets)) == 1
        fake.table.create("KEYS_ONLY")
        fake.table.put("b")
        lanes = {lane.name: lane for lane in await anext(sets)}
        old, new = lanes
        assert lanes[new].parents == (old,)
        assert await drain(source) == ["a", "b"]
        fake.table.forget_stream()
        assert [(lane.name, lane.parents) for lane in await anext(sets)] == [(new, (old,))]

    run(main())


def test_a_former_stream_that_the_server_does_not_list_is_read_on_after_a_restart() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.lists_old_streams = False
        fake.table.put("a")
        old = [lane.name for lane in await first_lanes(a_source(fake, table=True))]
        fake.table.roll()
        fake.table.put("b")
        fake.table.create()
        fake.table.put("c")
        source = a_source(fake, table=True)
        source.recall(old)
        lanes = {lane.name: lane for lane in await first_lanes(source)}
        assert (len(lanes), old[0] in lanes) == (3, True)
        assert await drain(source) == ["a", "b", "c"]
        later = a_source(fake, table=True)
        assert await read_some(later, lanes[old[0]])  # by its name, without being listed

    run(main())


def test_what_cannot_be_recalled_is_no_problem() -> None:
    """A stream that is gone, and rows from when the mapping had another source."""

    async def main() -> None:
        fake = FakeStreams(now)
        source = a_source(fake, table=True)
        source.recall(["shardId-000000000000", "2000-01-01T00:00:00.000/shardId-1"])
        fake.raises["DescribeStream"].append(refused("ValidationException", "DescribeStream"))
        assert len(await first_lanes(source)) == 1
        asked = [arguments["StreamArn"] for operation, arguments in fake.asked if operation == "DescribeStream"]
        assert asked == [f"{TABLE}/stream/", f"{TABLE}/stream/2000-01-01T00:00:00.000", fake.table.stream.arn]

    run(main())


def test_a_former_stream_that_cannot_be_asked_about_holds_up_the_listing() -> None:
    """Without it, what followed it would be taken for a beginning."""

    async def main() -> None:
        fake = FakeStreams(now)
        fake.lists_old_streams = False
        old = [lane.name for lane in await first_lanes(a_source(fake, table=True))]
        fake.table.create()
        source = a_source(fake, table=True)
        source.recall(old)
        fake.raises["DescribeStream"].append(refused("LimitExceededException", "DescribeStream"))
        with pytest.raises(Disconnected):
            await first_lanes(source)
        assert len(await first_lanes(source)) == 2

    run(main())


def test_a_stream_that_is_missing_for_a_while_waits_for_itself_never() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        source = a_source(fake, table=True)
        sets = source.lanes()
        await anext(sets)
        fake.table.create()
        before = await anext(sets)
        fake.raises["DescribeStream"].append(refused("ResourceNotFoundException", "DescribeStream"))
        assert [lane.name for lane in await anext(sets)] == [lane.name for lane in before][1:]
        assert await anext(sets) == before

    run(main())


def test_a_stream_that_was_made_anew_is_found_soon_after_the_old_one_ended() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        source = a_source(fake, table=True)
        sets = source.lanes()
        (old,) = await anext(sets)
        fake.table.create()
        (page,) = await read_some(source, old)
        assert page.ended
        ended = now()
        assert len(await anext(sets)) == 2
        assert now() - ended < 3.0

    run(main())


def test_a_table_without_a_stream_says_so() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.streams.clear()
        source = a_source(fake, table=True, latest=True)
        for ask in (source.begin, lambda: first_lanes(source)):
            with pytest.raises(Disconnected, match="table orders has no stream") as problem:
                await ask()
            assert problem.value.lasting

    run(main())


def test_streams_of_other_tables_are_left_alone() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.lists_table_only = False
        fake.table.put("a")
        source = a_source(fake, table=True, latest=True)
        assert (await source.begin()).time == EPOCH
        (lane,) = await first_lanes(source)
        assert values(await read_some(source, lane)) == ["a"]

    run(main())


def test_oldest_needs_no_call() -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        assert await a_source(fake).begin() == Start()
        assert not fake.calls

    run(main())


@pytest.mark.parametrize(
    ("change", "broken", "said"),
    [
        (lambda fake: None, None, ""),
        (lambda fake: fake.table.disable(), False, "is switched off"),
        (lambda fake: fake.table.create("KEYS_ONLY"), False, "KEYS_ONLY"),
        (lambda fake: fake.table.streams.clear(), True, "not found"),
        (
            lambda fake: fake.raises["GetRecords"].append(refused("AccessDeniedException")),
            True,
            f"Cannot access stream {TABLE}/stream/",
        ),
    ],
)
def test_a_check_reads_one_record_and_looks_at_the_stream(change: object, broken: object, said: str) -> None:
    async def main() -> None:
        fake = FakeStreams(now)
        fake.table.put("a")
        fake.table.put("b")
        source = a_source(fake)
        assert callable(change)
        change(fake)
        if len(fake.table.streams) > 1:
            source = a_source(fake)
        findings = await source.check()
        assert [finding.broken for finding in findings] == ([] if broken is None else [broken])
        assert all(said in finding.text for finding in findings)

    run(main())


async def drain(source: DynamoSource, start: Start = OLDEST) -> Sequence[str]:
    """Reads each lane when its parents have ended, as far as there is anything."""
    lanes = {lane.name: lane for lane in await first_lanes(source)}
    ended: set[str] = set()
    read: list[str] = []
    while ready := [lane for name, lane in lanes.items() if name not in ended and _free(lane, lanes, ended)]:
        for lane in ready:
            async with source.open(lane, start) as reader:
                page = await reader.read(1000, 3.0)
                while page.records:
                    read += values([page])
                    page = await reader.read(1000, 3.0)
                ended.add(lane.name)
    return read


def _free(lane: Lane, lanes: dict[str, Lane], ended: set[str]) -> bool:
    return all(parent in ended or parent not in lanes for parent in lane.parents)
