"""The queues of the demonstration: messages go in, and what is left of them comes out again."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
from msgspec import Struct

from esm.demo.aws import Service
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
        self._service = Service(session, endpoint, "AmazonSQS", "1.0")

    async def create(self, name: str, visibility: int) -> Queue:
        """A queue with dead letters; FIFO if its name ends in `.fifo`. `visibility` in seconds."""
        stem, dot, fifo = name.partition(".")
        dead_url, dead_arn = await self.make(f"{stem}-dead{dot}{fifo}", {})
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES})
        url, arn = await self.make(name, {"VisibilityTimeout": str(visibility), "RedrivePolicy": policy})
        return Queue(name, url, arn, dead_url)

    async def send(self, queue: Queue, messages: Sequence[Message]) -> None:
        """In the order given."""
        for start in range(0, len(messages), _PAGE):
            lot = messages[start : start + _PAGE]
            answer = await self._service.call(
                "SendMessageBatch", QueueUrl=queue.url, Entries=[message.entry for message in lot]
            )
            if answer.get("Failed"):
                raise DemoFailed(f"the emulator did not take {answer['Failed']}")

    async def left(self, url: str) -> int:
        """How many messages there are, in flight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self._service.call("GetQueueAttributes", QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    async def drained(self, url: str) -> list[dict[str, Any]]:
        """Takes out everything and gives the bodies; waits for what is in flight to come back."""
        bodies: list[dict[str, Any]] = []
        while True:
            answer = await self._service.call("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=_PAGE)
            for message in answer.get("Messages") or ():
                bodies.append(json.loads(message["Body"]))
                await self._service.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if not answer.get("Messages"):
                if not await self.left(url):
                    return bodies
                await asyncio.sleep(_LOOK_EVERY)

    async def make(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        """A queue, FIFO if its name ends in `.fifo`: its URL and its ARN."""
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        made = await self._service.call("CreateQueue", QueueName=name, Attributes={**attributes, **fifo})
        told = await self._service.call(
            "GetQueueAttributes", QueueUrl=made["QueueUrl"], AttributeNames=["QueueArn"]
        )
        return made["QueueUrl"], told["Attributes"]["QueueArn"]
