"""The few calls of SQS that the demonstration makes itself, over its JSON protocol.

Deliberately not the client that the engine uses: the account is to depend on nothing of it. The emulator checks
no signatures, and no credentials of this machine are looked at.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
from msgspec import Struct

from esm.demo.failures import DemoFailed
from esm.demo.workload import MAX_RECEIVES, Message

_PAGE = 10
_LOOK_EVERY = 0.2


class Queue(Struct, frozen=True):
    """A queue and the one that its failing messages end in."""

    name: str
    url: str
    arn: str
    dead_url: str


class Sqs:
    """Talks to the emulator at `endpoint` (a URL)."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str) -> None:
        self._session = session
        self._endpoint = endpoint

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """One call. Raises `DemoFailed` with what the emulator said."""
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
        body = json.dumps(parameters)
        async with self._session.post(self._endpoint, data=body, headers=headers) as response:
            text = await response.text()
        if response.status != 200:
            raise DemoFailed(f"the emulator refused {action}: {response.status} {text}")
        return dict(json.loads(text or "{}"))

    async def create(self, name: str, visibility: int) -> Queue:
        """A queue with dead letters; FIFO if its name ends in `.fifo`. `visibility` in seconds."""
        stem, dot, fifo = name.partition(".")
        dead_url, dead_arn = await self._make(f"{stem}-dead{dot}{fifo}", {})
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES})
        url, arn = await self._make(name, {"VisibilityTimeout": str(visibility), "RedrivePolicy": policy})
        return Queue(name, url, arn, dead_url)

    async def send(self, queue: Queue, messages: Sequence[Message]) -> None:
        """In the order given."""
        for start in range(0, len(messages), _PAGE):
            lot = messages[start : start + _PAGE]
            answer = await self.call(
                "SendMessageBatch", QueueUrl=queue.url, Entries=[message.entry for message in lot]
            )
            if answer.get("Failed"):
                raise DemoFailed(f"the emulator did not take {answer['Failed']}")

    async def left(self, url: str) -> int:
        """How many messages there are, in flight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    async def drained(self, url: str) -> set[str]:
        """Takes out everything and returns the ids in the bodies; waits for what is in flight to come back."""
        ids: set[str] = set()
        while True:
            answer = await self.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=_PAGE)
            for message in answer.get("Messages") or ():
                ids.add(json.loads(message["Body"])["id"])
                await self.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not answer.get("Messages"):
                if not await self.left(url):
                    return ids
                await asyncio.sleep(_LOOK_EVERY)

    async def _make(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        made = await self.call("CreateQueue", QueueName=name, Attributes={**attributes, **fifo})
        told = await self.call("GetQueueAttributes", QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"])
        return made["QueueUrl"], told["Attributes"]["QueueArn"]
