"""A scripted SQS client on virtual time, and what the tests of the SQS source share."""

import asyncio
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError  # type: ignore[import-untyped]

from esm.clients.aws import AwsOptions
from esm.model import Record
from esm.plugins import SourceContext
from esm.sources.sqs import SqsOptions, SqsSource
from esm.world import World

URL = "http://127.0.0.1:1/000000000000/orders"
ARN = "arn:aws:sqs:us-east-2:123456789012:orders"


def client_error(
    code: str, message: str = "no", *, operation: str = "ReceiveMessage", status: int = 400
) -> ClientError:
    metadata = {"HTTPStatusCode": status}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, operation)


def unreachable() -> EndpointConnectionError:
    return EndpointConnectionError(endpoint_url="http://127.0.0.1:1/", error=OSError())


class StubSqs:
    """Answers after `latency` seconds. `entry_codes[handle]` are the failures of an entry's next tries, `raises`
    the errors of the next calls of any kind, `messages` the pages of the next receives."""

    meta = SimpleNamespace(region_name="us-east-2")

    def __init__(self, latency: float = 0.01) -> None:
        self.latency = latency
        self.entry_codes: dict[str, deque[tuple[str, bool]]] = defaultdict(deque)
        self.raises: deque[BaseException] = deque()
        self.messages: deque[list[dict[str, Any]]] = deque()
        self.attributes: dict[str, str] = {"VisibilityTimeout": "30", "QueueArn": ARN}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.lots: list[list[str]] = []
        self.open = self.most_open = 0
        self.deleted: list[str] = []
        self.changed: dict[str, int] = {}

    def fails(self, handle: str, code: str, *, times: int = 1, sender: bool = False) -> None:
        self.entry_codes[handle].extend([(code, sender)] * times)

    async def get_queue_url(self, **arguments: Any) -> dict[str, Any]:
        await self._call("GetQueueUrl", arguments)
        return {"QueueUrl": URL}

    async def get_queue_attributes(self, **arguments: Any) -> dict[str, Any]:
        await self._call("GetQueueAttributes", arguments)
        return {"Attributes": self.attributes}

    @property
    def cold(self) -> "StubSqs":
        return self

    @property
    def hot(self) -> "StubSqs":
        return self

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        await self._call(operation, arguments)
        if operation == "ReceiveMessage":
            return {"Messages": self.messages.popleft()} if self.messages else {}
        answer, good = self._entries(arguments["Entries"])
        if operation == "DeleteMessageBatch":
            self.deleted += [entry["ReceiptHandle"] for entry in good]
        else:
            self.changed |= {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in good}
        return answer

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> None:
        self.calls.append((operation, dict(arguments)))
        if "Entries" in arguments:
            self.lots.append([entry["ReceiptHandle"] for entry in arguments["Entries"]])
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.open -= 1
        if self.raises:
            raise self.raises.popleft()

    def _entries(self, entries: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        failed, good = [], []
        for entry in entries:
            if codes := self.entry_codes[entry["ReceiptHandle"]]:
                code, sender = codes.popleft()
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": sender, "Message": "no"})
            else:
                good.append(entry)
        return {"Successful": [{"Id": entry["Id"]} for entry in good], "Failed": failed}, good


def a_world(**changed: Callable[..., Any]) -> World:
    """Virtual time, seeded chance."""
    numbers = itertools.count(1)
    parts: dict[str, Any] = {
        "monotonic": lambda: asyncio.get_running_loop().time(),
        "wall": lambda: 1_000_000.0,
        "sleep": asyncio.sleep,
        "chance": random.Random(1).random,
        "new_id": lambda: f"id-{next(numbers)}",
    }
    return World(**{**parts, **changed})


def a_source(
    sqs: Any, *, fifo: bool = False, window: float = 0, longest_wait: float = 20, **world: Callable[..., Any]
) -> SqsSource:
    def lease(_service: str, _options: AwsOptions) -> AbstractAsyncContextManager[Any]:
        return nullcontext(sqs)

    options = SqsOptions(arn=ARN + (".fifo" if fifo else ""), wait_time_seconds=longest_wait)
    context = SourceContext("orders", {}, window, a_world(**world), timeout=30.0, held=1_000)
    return SqsSource(options, context, lease)


def records(count: int, *groups: str) -> list[Record]:
    """Numbered from 0; the handle is `r` and the number. With groups, keys alternate."""
    return [
        Record(
            seq=number,
            id=f"m{number}",
            key=groups[number % len(groups)] if groups else None,
            arrived=0.0,
            read=0.0,
            event=b"{}",
            handle=f"r{number}",
        )
        for number in range(count)
    ]


def a_message(number: int = 0, **changed: Any) -> dict[str, Any]:
    """As ReceiveMessage returns it."""
    message = {
        "MessageId": f"m{number}",
        "ReceiptHandle": f"r{number}",
        "Body": f"body {number}",
        "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
    }
    return {**message, **changed}
