"""One run's surroundings: a fresh queue server, a fresh target, what they are asked, and the account.

The account never uses a counter of the contender: which ids exist is the queue server's word, which ids
arrived is the target's.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
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


@dataclass(slots=True)
class Bench:
    http: aiohttp.ClientSession
    endpoint: str
    target: str
    queue_meter: Meter
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

    async def _post(self, url: str, arguments: dict[str, Any], headers: dict[str, str]) -> Any:
        body = orjson.dumps(arguments)
        async with self.http.post(url, data=body, headers=headers, raise_for_status=True) as answer:
            return orjson.loads(await answer.read())


@contextlib.asynccontextmanager
async def bench(queue_delay: float, *target_options: str) -> AsyncIterator[Bench]:
    """Both servers, fresh and empty. `queue_delay`: seconds before the queue server answers."""
    async with (
        server("benchmarks.fake_sqs", "--delay", str(queue_delay)) as (endpoint, queue_meter),
        server("benchmarks.target", *target_options) as (target, target_meter),
        aiohttp.ClientSession() as http,
    ):
        yield Bench(http, endpoint, target, queue_meter, target_meter)
