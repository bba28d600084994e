"""An engine over the real sources of streams, each on its service in memory, on virtual time.

A function sees the events that AWS would send; what it is given is told by sequence numbers.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, Protocol

import orjson
import pytest
from runtime_log_world import NotedDestination, NotedStore
from runtime_world import EPOCH, PLENTY, Told, now, opening, world

from benchmarks import kinesis_service, kinesis_shard
from benchmarks.fake_dynamodb_streams import FakeStreams
from esm.checkpoint import Checkpoint
from esm.clients.aws import AwsOptions
from esm.model import Errored, Invocation, Outcome, Reply
from esm.ports import LogSource
from esm.runtime.engine import Engine
from esm.runtime.plan import DestinationPlan, EnginePlan, LogOptions, LogPlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.sources.begin import Begin, StartingPosition
from esm.sources.dynamodb import DynamoOptions, DynamoSource
from esm.sources.kinesis import KinesisOptions, KinesisSource
from esm.world import World

FUNCTION = "arn:aws:lambda:us-east-2:123456789012:function:myfunction"
THROWN = Errored(
    Outcome.FUNCTION_ERROR, "ValueError: boom", {"request_id": "c9b8fa9f", "function_error": "Unhandled"}
)


def clock() -> float:
    """The services' time, and ours, in epoch seconds."""
    return EPOCH + now()


def a_world() -> World:
    return World(now, clock, asyncio.sleep, random.Random(1).random, lambda: "id")


class Stream(Protocol):
    """A stream with one shard."""

    @property
    def source(self) -> LogSource:
        """What a mapping reads it by."""

    def put(self, count: int) -> list[str]:
        """Writes records; returns their sequence numbers."""


class OfKinesis:
    meta = SimpleNamespace(endpoint_url="https://kinesis.us-east-1.amazonaws.com")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (kinesis_service, kinesis_shard):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=clock))
        self._service = kinesis_service.Service(enforce=False)
        self._service.operate("CreateStream", {"StreamName": "orders", "ShardCount": 1})
        begin = Begin(StartingPosition.TRIM_HORIZON)
        options = KinesisOptions(stream="orders")

        def lease(_service: str, _options: AwsOptions) -> AbstractAsyncContextManager[Any]:
            return nullcontext(SimpleNamespace(cold=self, hot=self))

        self.source = KinesisSource(options, AwsOptions(), lease, begin=begin, world=a_world())

    def put(self, count: int) -> list[str]:
        each = {"StreamName": "orders", "Data": "SGk=", "PartitionKey": "k"}
        return [orjson.loads(self._service.operate("PutRecord", each))["SequenceNumber"] for _ in range(count)]

    async def describe_stream_summary(self, **arguments: Any) -> Any:
        return orjson.loads(self._service.operate("DescribeStreamSummary", arguments))

    async def list_shards(self, **arguments: Any) -> Any:
        answer = orjson.loads(self._service.operate("ListShards", arguments))
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {}}}

    async def fetch(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        return self._service.operate(operation, dict(arguments))


class OfDynamo:
    def __init__(self, _: pytest.MonkeyPatch) -> None:
        self._fake = FakeStreams(clock, latency=0.0)
        options = DynamoOptions(stream=self._fake.table.stream.arn)
        self.source = DynamoSource(options, AwsOptions(), self._fake.lease, latest=False, world=a_world())

    def put(self, count: int) -> list[str]:
        return [self._fake.table.put("k") for _ in range(count)]


STREAMS: Mapping[str, Callable[[pytest.MonkeyPatch], Stream]] = {"Kinesis": OfKinesis, "DynamoDB": OfDynamo}


def numbers_of(event: bytes) -> list[str]:
    """The sequence numbers in an event, which are what a partial answer names."""
    records = json.loads(event)["Records"]
    return [(record.get("kinesis") or {}).get("sequenceNumber") or _number(record) for record in records]


def _number(record: Mapping[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


class Function:
    """A function that answers by script, at once; `calls` has what it was given."""

    def __init__(self, script: Callable[[Sequence[str]], Reply]) -> None:
        self._script = script
        self.calls: list[list[str]] = []

    async def invoke(self, call: Invocation) -> Reply:
        self.calls.append(numbers_of(call.payload))
        return self._script(self.calls[-1])


class StreamRig:
    """An engine with one mapping from `stream`, and all that was seen of it."""

    def __init__(self, stream: Stream, script: Callable[[Sequence[str]], Reply], **options: Any) -> None:
        self.stream = stream
        self.store = NotedStore()
        self.told = Told()
        self.function = Function(script)
        self.destination = NotedDestination()
        plan = LogPlan(
            "orders", "id", True, stream.source, "fn", LogOptions(**options), function=FUNCTION,
            on_failure=[DestinationPlan("dead", opening(self.destination))],
        )  # fmt: skip
        targets = {"fn": TargetPlan("fn", opening(self.function))}
        plans = EnginePlan({"orders": plan}, targets, PLENTY, store=opening(self.store))
        self.engine = Engine(plans, StatusBoard(clock), world(self.told), 45.0)

    @asynccontextmanager
    async def running(self, seconds: float) -> AsyncIterator[None]:
        """The engine runs until `seconds` have passed since the beginning of time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engine.run())
            yield
            await asyncio.sleep(seconds - now())
            self.engine.stop.set()

    @property
    def documents(self) -> list[Mapping[str, Any]]:
        """What the destination was told."""
        return [notice.document for _, notice in self.destination.notices]

    async def checkpoint(self) -> Checkpoint:
        """The lane's, when it is closed."""
        (row,) = [row for row in await self.store.rows.view("id") if row.checkpoint is not None]
        assert row.checkpoint is not None
        return row.checkpoint
