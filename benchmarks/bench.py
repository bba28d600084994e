"""One run's surroundings: a fresh server of the source, a fresh target, what they are asked, and the account.

The account never uses a counter of the contender: which ids exist is the word of the source's server, which ids
arrived is the target's.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from benchmarks.processes import Meter, server


@dataclass(frozen=True, slots=True)
class Queue:
    url: str
    arn: str


@dataclass(frozen=True, slots=True)
class Account:
    """Sent = delivered and deleted, or it says what is wrong."""

    sent: int
    deleted: int
    missing: int
    unexpected: int
    malformed: int
    redelivered: int

    @property
    def balanced(self) -> bool:
        return self.sent == self.deleted and not (self.missing or self.unexpected or self.malformed)

    def __str__(self) -> str:
        if self.balanced:
            return f"balanced, {self.redelivered} redelivered" if self.redelivered else "balanced"
        return (
            f"WRONG: sent {self.sent}, deleted {self.deleted}, missing {self.missing}, "
            f"unexpected {self.unexpected}, malformed {self.malformed}"
        )


@dataclass(frozen=True, slots=True)
class LogAccount:
    """Sent = delivered, and each key in order, or it says what is wrong. `repeated` came more than once."""

    sent: int
    missing: int
    unexpected: int
    malformed: int
    overtaken: int
    repeated: int

    @property
    def balanced(self) -> bool:
        return self.sent > 0 and not (self.missing or self.unexpected or self.malformed or self.overtaken)

    def __str__(self) -> str:
        if self.balanced:
            return f"balanced, {self.repeated} repeated" if self.repeated else "balanced"
        return (
            f"WRONG: sent {self.sent}, missing {self.missing}, unexpected {self.unexpected}, "
            f"malformed {self.malformed}, overtaken {self.overtaken}"
        )


def account_between(sent: set[str], arrived: set[str], at_target: Mapping[str, int]) -> LogAccount:
    """Names of records at both ends, and the target's totals."""
    return LogAccount(
        sent=len(sent),
        missing=len(sent - arrived),
        unexpected=len(arrived - sent),
        malformed=at_target["malformed"],
        overtaken=at_target["overtaken"],
        repeated=at_target["records"] - at_target["distinct"],
    )


@dataclass(slots=True)
class Bench:
    http: aiohttp.ClientSession
    endpoint: str
    target: str
    server_meter: Meter
    target_meter: Meter

    @property
    def invoke_url(self) -> str:
        return f"{self.target}/invoke"

    async def sqs(self, operation: str, **arguments: Any) -> Any:
        headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        return await self._post(self.endpoint, arguments, headers)

    async def control(self, action: str, **arguments: Any) -> Any:
        return await self._post(f"{self.endpoint}/control/{action}", arguments, {})

    async def create_queue(self, name: str, visibility: int = 30) -> Queue:
        """A queue with a visibility timeout in seconds."""
        attributes = {"VisibilityTimeout": str(visibility)}
        url = (await self.sqs("CreateQueue", QueueName=name, Attributes=attributes))["QueueUrl"]
        found = await self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])
        return Queue(url, found["Attributes"]["QueueArn"])

    async def preload(self, queue: Queue, count: int, body_bytes: int) -> None:
        await self.control("preload", QueueUrl=queue.url, Count=count, BodyBytes=body_bytes)

    async def offer(self, queue: Queue, count: int, body_bytes: int, per_second: int) -> None:
        """Returns at once; the server sends them to itself, which costs no client."""
        await self.control("offer", QueueUrl=queue.url, Count=count, BodyBytes=body_bytes, PerSecond=per_second)

    async def fail(self, status: int) -> None:
        """What the target answers from now on."""
        await self._post(f"{self.target}/answer", {"status": status}, {})

    async def queue_totals(self) -> dict[str, int]:
        totals: dict[str, int] = await self.control("totals")
        return totals

    async def kinesis(self, operation: str, **arguments: Any) -> Any:
        headers = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return await self._post(self.endpoint, arguments, headers)

    async def create_stream(self, name: str, shards: int) -> str:
        """Its ARN."""
        await self.kinesis("CreateStream", StreamName=name, ShardCount=shards)
        found = await self.kinesis("DescribeStreamSummary", StreamName=name)
        return str(found["StreamDescriptionSummary"]["StreamARN"])

    async def seen(self, what: str) -> Any:
        """What the target wrote down: `totals`, `ids`, `shares`, `arrivals` or `latency/N`."""
        async with self.http.get(f"{self.target}/{what}") as answer:
            return orjson.loads(await answer.read())

    async def account(self) -> Account:
        totals, at_target = await self.queue_totals(), await self.seen("totals")
        sent, arrived = set(await self.control("ids")), set(await self.seen("ids"))
        return Account(
            sent=totals["sent"],
            deleted=totals["deleted"],
            missing=len(sent - arrived),
            unexpected=len(arrived - sent),
            malformed=at_target["malformed"],
            redelivered=totals["redelivered"],
        )

    async def log_account(self) -> LogAccount:
        return await self.account_of(set(await self.control("ids")))

    async def account_of(self, sent: set[str]) -> LogAccount:
        """What became of the records of these names."""
        return account_between(sent, set(await self.seen("ids")), await self.seen("totals"))

    async def _post(self, url: str, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        body = orjson.dumps(arguments)
        async with self.http.post(url, data=body, headers=headers, raise_for_status=True) as answer:
            return orjson.loads(await answer.read())


@contextlib.asynccontextmanager
async def bench(queue_delay: float, *target_options: str) -> AsyncIterator[Bench]:
    """For queues: both servers, fresh and empty. `queue_delay`: seconds before the queue server answers."""
    async with around("benchmarks.fake_sqs", ["--delay", str(queue_delay)], target_options) as servers:
        yield servers


def stream_bench(
    server_options: Sequence[str] = (), target_options: Sequence[str] = ()
) -> AbstractAsyncContextManager[Bench]:
    """For streams."""
    return around("benchmarks.fake_kinesis", server_options, target_options)


@contextlib.asynccontextmanager
async def around(
    module: str, server_options: Sequence[str], target_options: Sequence[str]
) -> AsyncIterator[Bench]:
    """A server of the source and a target, fresh and empty."""
    async with (
        server(module, *server_options) as (endpoint, server_meter),
        server("benchmarks.target", *target_options) as (target, target_meter),
        aiohttp.ClientSession() as http,
    ):
        yield Bench(http, endpoint, target, server_meter, target_meter)
