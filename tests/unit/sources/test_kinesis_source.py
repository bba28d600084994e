"""The Kinesis source on a scripted client: what it asks, and what it makes of the answers."""

import pytest
from kinesis_stub import ARN, SECOND, SHARD, StubKinesis, a_shard, a_source
from sqs_stub import client_error

from esm.checkpoint import Start
from esm.clients.aws import AwsOptions
from esm.errors import Disconnected, LaneGone
from esm.model import Lane, LogPage
from esm.sources.kinesis import PLUGIN, KinesisOptions
from esm.world import real_world

LANE = Lane(SHARD)


def a_record(number: int, data: str = "SGk=") -> dict[str, object]:
    return {"SequenceNumber": str(number), "PartitionKey": "k", "Data": data, "ApproximateArrivalTimestamp": 1.5}


# Shards


async def test_all_pages_of_a_listing_are_read() -> None:
    """A stream may have more shards than fit into one answer."""
    kinesis = StubKinesis([a_shard("a")], [a_shard("b", "a")], [a_shard("c", "a", "b")])
    lanes = await anext(a_source(kinesis).lanes())
    assert list(lanes) == [Lane("a", (), 49), Lane("b", ("a",), 49), Lane("c", ("a", "b"), 49)]
    asked = [arguments for _, arguments in kinesis.calls]
    assert [sorted(each) for each in asked] == [
        ["MaxResults", "StreamARN", "StreamName"],
        ["MaxResults", "NextToken"],
        ["MaxResults", "NextToken"],
    ]


async def test_a_stream_by_name_is_found_once() -> None:
    kinesis = StubKinesis()
    source = a_source(kinesis, stream="lambda-stream")
    await anext(source.lanes())
    async with source.open(LANE, Start()) as reader:
        await reader.read(1, 0)
    assert [name for name, _ in kinesis.calls].count("DescribeStreamSummary") == 1
    assert kinesis.calls[1][1]["StreamARN"] == ARN


# Where it begins


@pytest.mark.parametrize(
    ("position", "time", "start"),
    [
        ("TRIM_HORIZON", None, Start()),
        ("LATEST", None, Start(SECOND)),
        ("AT_TIMESTAMP", 1_545_084_650.25, Start(1_545_084_650.25)),
    ],
)
async def test_where_it_begins_is_told_by_the_clock_of_the_service(
    position: str, time: float | None, start: Start
) -> None:
    assert await a_source(StubKinesis(), position, time).begin() == start


async def test_without_a_date_our_own_clock_tells() -> None:
    assert await a_source(StubKinesis(date=None), "LATEST").begin() == Start(1_000_000.0)


async def test_a_time_to_come_is_refused() -> None:
    with pytest.raises(Disconnected, match="in the future") as raised:
        await a_source(StubKinesis(), "AT_TIMESTAMP", SECOND + 100).begin()
    assert raised.value.lasting


@pytest.mark.parametrize(
    ("position", "time"), [(None, None), ("latest", None), ("AT_TIMESTAMP", None), ("LATEST", 5.0)]
)
def test_starting_positions_that_make_no_sense_are_refused(position: str | None, time: float | None) -> None:
    from esm.plugins import SourceContext

    context = SourceContext("m", {}, 0, real_world(), starting_position=position, starting_position_timestamp=time)
    with pytest.raises(ValueError, match="starting_position"):
        PLUGIN.make(KinesisOptions(stream=ARN), context)


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        (Start(), {"ShardIteratorType": "TRIM_HORIZON"}),
        (Start(1.25), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.25}),
        (4959, {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "4959"}),
    ],
)
async def test_a_shard_is_opened_there(place: int | Start, asked: dict[str, object]) -> None:
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, place) as reader:
        await reader.read(50_000, 0)
    stream = {"StreamName": "lambda-stream", "StreamARN": ARN}
    assert kinesis.calls == [
        ("GetShardIterator", {**stream, "ShardId": SHARD, **asked}),
        ("GetRecords", {"ShardIterator": "first", "Limit": 10_000, "StreamARN": ARN}),
    ]


async def test_a_position_has_as_many_digits_as_the_numbers_of_the_stream() -> None:
    kinesis = StubKinesis([a_shard(SHARD, first="0000000017")])
    source = a_source(kinesis)
    await anext(source.lanes())
    async with source.open(LANE, 42) as reader:
        await reader.read(1, 0)
    assert kinesis.calls[1][1]["StartingSequenceNumber"] == "0000000042"


# Pages


async def test_a_page_with_everything() -> None:
    kinesis = StubKinesis()
    children = [{"ShardId": "a", "ParentShards": [SHARD, "x"], "HashKeyRange": {}}]
    answer = {"Records": [a_record(5), a_record(6)], "MillisBehindLatest": 1500, "ChildShards": children}
    kinesis.answers.extend([{"ShardIterator": "i"}, answer])
    async with a_source(kinesis).open(LANE, Start()) as reader:
        page = await reader.read(10, 1)
    assert [(record.seq, record.id, record.key, record.position, record.arrived) for record in page.records] == [
        (0, "5", "k", 5, 1.5),
        (1, "6", "k", 6, 1.5),
    ]
    assert (page.upto, page.ended, page.behind, page.lost) == (6, True, 1.5, 0)
    assert page.children == (Lane("a", (SHARD, "x")),)


async def test_the_end_of_a_shard_without_children_tells_nothing_of_them() -> None:
    kinesis = StubKinesis()
    kinesis.answers.extend([{"ShardIterator": "i"}, {"Records": [], "NextShardIterator": None}])
    async with a_source(kinesis).open(LANE, Start()) as reader:
        assert await reader.read(10, 0) == LogPage(ended=True)


async def test_a_record_that_no_function_can_take_is_rejected() -> None:
    kinesis = StubKinesis()
    records = [a_record(1), a_record(2, "A" * 6_300_000), a_record(3)]
    kinesis.answers.extend([{"ShardIterator": "i"}, {"Records": records, "NextShardIterator": "j"}])
    async with a_source(kinesis).open(LANE, Start()) as reader:
        page = await reader.read(10, 1)
    assert [(record.seq, record.id) for record in page.records] == [(0, "1"), (2, "3")]
    assert [(each.record.seq, each.record.id) for each in page.rejected] == [(1, "2")]
    assert "of 6,291,442" in page.rejected[0].why


# What goes wrong


@pytest.mark.parametrize(
    ("code", "short", "lasting"),
    [
        ("ResourceNotFoundException", "NonExistentStream", True),
        ("AccessDeniedException", "AccessDenied", True),
        ("KMSAccessDeniedException", "KmsAccessDenied", True),
        ("KMSDisabledException", "KmsDisabled", True),
        ("KMSInvalidStateException", "KmsInvalidState", True),
        ("KMSNotFoundException", "KmsNotFound", True),
        ("KMSOptInRequired", "KmsOptInRequired", True),
        ("ExpiredTokenException", "ExpiredToken", True),
    ],
)
async def test_errors_of_kinesis(code: str, short: str, lasting: bool) -> None:  # noqa: FBT001
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, Start()) as reader:
        kinesis.raises.append(client_error(code, "no", operation="GetRecords"))
        with pytest.raises(Disconnected, match=code) as raised:
            await reader.read(1, 0)
    assert (raised.value.code, raised.value.lasting) == (short, lasting)
    assert isinstance(raised.value, LaneGone) == (short == "NonExistentStream")


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "KMSThrottlingException"])
async def test_throttles_are_no_problem(code: str) -> None:
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, Start()) as reader:
        kinesis.raises.append(client_error(code))
        assert await reader.read(1, 0) == LogPage()


@pytest.mark.parametrize("code", ["ExpiredIteratorException", "InvalidArgumentException"])
async def test_an_iterator_that_is_refused_is_made_anew(code: str) -> None:
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, 7) as reader:
        await reader.read(1, 0)
        kinesis.raises.append(client_error(code))
        await reader.read(1, 5)
    assert [name for name, _ in kinesis.calls].count("GetShardIterator") == 2


async def test_a_position_of_a_stream_that_was_made_anew_goes_on_at_the_oldest_record() -> None:
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, 7) as reader:
        kinesis.raises.append(client_error("InvalidArgumentException", "did not come from this stream"))
        assert await reader.read(1, 0) == LogPage(lost=None)
        await reader.read(1, 0)
    assert kinesis.calls[1][1]["ShardIteratorType"] == "TRIM_HORIZON"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"Records":[{"Data":"x"}]}', b'{"Records":[{"Seq'])
async def test_an_answer_that_is_none_moves_nothing(body: bytes) -> None:
    kinesis = StubKinesis()
    async with a_source(kinesis).open(LANE, Start()) as reader:
        kinesis.answers.extend([{"ShardIterator": "i"}, body])
        with pytest.raises(Disconnected) as raised:
            await reader.read(1, 0)
    assert raised.value.code == "BadAnswer"


@pytest.mark.parametrize("number", ["abc", "", "1.5", "0x10"])
async def test_a_sequence_number_that_is_no_number_is_a_bad_answer_and_moves_nothing(number: str) -> None:
    kinesis = StubKinesis()
    good, odd = a_record(7), {**a_record(8), "SequenceNumber": number}
    async with a_source(kinesis).open(LANE, Start()) as reader:
        for page in ([odd], [good, odd, good], [odd, good]):
            kinesis.answers.extend([{"ShardIterator": "i"}] if page == [odd] else [])
            kinesis.answers.append({"Records": page, "NextShardIterator": "j"})
            with pytest.raises(Disconnected, match=f"what is no number.*{number!r}") as raised:
                await reader.read(9, 0)
            assert raised.value.code == "BadAnswer"
        kinesis.answers.append({"Records": [good], "NextShardIterator": "j"})
        read = await reader.read(9, 0)
    assert [(record.seq, record.position) for record in read.records] == [(0, 7)]


# Checks


async def test_a_check_asks_for_all_that_is_needed() -> None:
    kinesis = StubKinesis()
    assert await a_source(kinesis).check() == ()
    asked = {f"kinesis:{name}" for name, _ in kinesis.calls}
    (permission,) = PLUGIN.permissions(KinesisOptions(stream=ARN), {})
    assert asked == set(permission.actions)
    assert permission.resource == ARN


@pytest.mark.parametrize(
    ("status", "broken"), [("ACTIVE", None), ("UPDATING", None), ("CREATING", False), ("DELETING", True)]
)
async def test_a_check_tells_the_state_of_the_stream(status: str, broken: bool | None) -> None:  # noqa: FBT001
    findings = await a_source(StubKinesis(status=status)).check()
    assert [finding.broken for finding in findings] == ([] if broken is None else [broken])
    assert all(status in finding.text for finding in findings)


@pytest.mark.parametrize("call", range(4))
async def test_a_check_says_which_call_is_denied(call: int) -> None:
    kinesis = StubKinesis()
    real = kinesis._note

    def note(operation: str, arguments: dict[str, object]) -> None:
        real(operation, arguments)
        if len(kinesis.calls) == call + 1:
            raise client_error("AccessDeniedException", operation=operation)

    kinesis._note = note  # type: ignore[method-assign]
    (finding,) = await a_source(kinesis).check()
    assert finding.broken
    assert kinesis.calls[-1][0] in finding.text


def test_permissions_without_an_account() -> None:
    options = KinesisOptions(stream="orders", aws=AwsOptions(role_arn="arn:aws:iam::123456789012:role/r"))
    (permission,) = PLUGIN.permissions(options, {"region": "cn-north-1"})
    assert permission.resource == "arn:aws-cn:kinesis:cn-north-1:*:stream/orders"
    assert permission.role == "arn:aws:iam::123456789012:role/r"
