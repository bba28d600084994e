"""The benchmarks of streams, small: their account must be able to fail, and must balance for what is right."""

import base64
import dataclasses
from typing import Any

import orjson
import pytest

from benchmarks.arrivals import Arrivals
from benchmarks.bench import Bench, LogAccount, stream_bench
from benchmarks.bodies import body
from benchmarks.catch_up import TENTH, catch, is_tenth
from benchmarks.key_parallelism import key_parallelism
from benchmarks.lane_core import PAGE, pages, work_off
from benchmarks.quiet_shards import quiet
from benchmarks.stream_contenders import PACED_ENGINE, STREAM_CONTENDERS, STREAM_LEAN, StreamTerms
from benchmarks.stream_scenarios import StreamBacklog, drain, fill, first_record

SMALL = StreamBacklog(2000, shards=2, keys=100, terms=StreamTerms(batch=100))


@pytest.mark.parametrize("name", list(STREAM_CONTENDERS))
async def test_a_stream_is_delivered_in_order(name: str) -> None:
    run = await drain(STREAM_CONTENDERS[name], SMALL)
    assert run.account == LogAccount(2000, 0, 0, 0, 0, 0)
    assert (run.figures["cpu_per_1000_whole_run"] or 0) > 0


async def test_a_first_record_is_timed_from_the_start_of_the_process() -> None:
    run = await first_record(STREAM_LEAN, dataclasses.replace(SMALL, records=10))
    assert run.account.balanced
    assert 0 < (run.figures["first_s"] or 0) < 60


async def test_keys_in_parallel_lose_nothing_and_keep_their_order() -> None:
    found = await key_parallelism(0.01)
    assert "100 records" in found.about
    assert [verdict.passed for verdict in found.verdicts if verdict.measured is None] == [True]


@pytest.mark.parametrize("contender", [STREAM_LEAN, PACED_ENGINE], ids=["lean", "engine"])
async def test_quiet_shards_are_read_and_not_too_often(contender: Any) -> None:
    found = await quiet(contender, 4, 2.0)
    assert (found.throttled, found.reads > 0) == (0, True)
    assert found.most <= 5


async def test_a_backlog_behind_a_filter_is_counted() -> None:
    found = await catch(StreamBacklog(2000, shards=2, terms=StreamTerms(batch=100)), [TENTH], 200)
    assert is_tenth(found.account), found.account
    assert found.writes >= 2
    assert found.calls > 4


@pytest.mark.parametrize("factor", [1, 10])
@pytest.mark.parametrize("keys", [0, 7])
def test_the_work_inside_a_lane_comes_to_its_end(factor: int, keys: int) -> None:
    work_off(pages(keys)[:3], factor)
    assert len(pages(keys)[0].records) == PAGE


def record(number: int, key: str = "k", shard: str = "shardId-000000000000", **changed: Any) -> dict[str, Any]:
    data = {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": key,
        "sequenceNumber": str(number),
        "data": base64.b64encode(body(number, 0.0, 256).encode()).decode(),
        "approximateArrivalTimestamp": 1.5,
    }
    return {
        "kinesis": data,
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn",
        **changed,
    }


def seen(*batches: list[dict[str, Any]]) -> dict[str, int]:
    arrivals = Arrivals()
    for batch in batches:
        arrivals.note(orjson.dumps({"Records": batch}), 0.0)
    return arrivals.totals()


def test_what_is_not_whole_does_not_count_as_delivered() -> None:
    poor = {key: value for key, value in record(2).items() if key != "eventName"}
    rotten = record(3)
    rotten["kinesis"] = {**rotten["kinesis"], "data": base64.b64encode(b"{}").decode()}
    found = seen([record(1), poor, rotten, record(4, eventID="shardId-000000000000:5"), record(6, more=1)])
    assert (found["distinct"], found["malformed"]) == (1, 4)


def test_a_record_that_comes_after_a_later_one_of_its_key_was_overtaken() -> None:
    assert seen([record(1), record(2, "other"), record(3)])["overtaken"] == 0
    assert seen([record(3), record(2, "other")], [record(1)])["overtaken"] == 1
    again = seen([record(1), record(3)], [record(1), record(3)])
    assert (again["overtaken"], again["records"], again["distinct"]) == (0, 4, 2)


async def post(around: Bench, *records: dict[str, Any]) -> None:
    async with around.http.post(around.invoke_url, data=orjson.dumps({"Records": records})) as answer:
        assert await answer.json() == {}


async def test_the_account_of_a_stream_names_what_is_wrong() -> None:
    async with stream_bench() as around:
        await fill(around, dataclasses.replace(SMALL, records=4, shards=1))
        ids = await around.control("ids")
        await post(around, *(record(int(each.partition(":")[2])) for each in (ids[2], ids[0])))
        await post(around, record(7, shard="shardId-invented"), {"eventSource": "aws:kinesis"})
        account = await around.log_account()
    assert account == LogAccount(sent=4, missing=2, unexpected=1, malformed=1, overtaken=2, repeated=0)
    assert not account.balanced


@pytest.mark.parametrize(
    "wrong", [{"sent": 0}, {"missing": 1}, {"unexpected": 1}, {"malformed": 1}, {"overtaken": 1}]
)
def test_any_single_error_unbalances_the_account_of_a_stream(wrong: dict[str, int]) -> None:
    account = LogAccount(sent=10, missing=0, unexpected=0, malformed=0, overtaken=0, repeated=3)
    assert account.balanced
    assert not dataclasses.replace(account, **wrong).balanced
