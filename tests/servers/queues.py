"""Queues for tests: each test makes its own, with a name that no other test has.

They are not deleted: they cost nothing, and the server with them in it does not outlive the run.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

REGION = "us-east-1"

_LONGEST_POLL_SECONDS = 20


@dataclass(frozen=True)
class Queue:
    """A queue on a real server; `dead_letters` is there when it was made with a redrive policy."""

    name: str
    url: str
    arn: str
    dead_letters: "Queue | None" = None


def sqs_client(endpoint_url: str) -> Any:
    """A boto3 client for SQS that gives up soon when the server is away. The caller closes it."""
    config = Config(
        connect_timeout=2,
        read_timeout=_LONGEST_POLL_SECONDS + 5,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.session.Session().client("sqs", region_name=REGION, endpoint_url=endpoint_url, config=config)


@dataclass(frozen=True)
class QueueMaker:
    """Makes queues named after the test that asks."""

    client: Callable[[str], Any]
    prefix: str

    def __call__(
        self,
        endpoint_url: str,
        *,
        fifo: bool = False,
        visibility: int = 30,
        max_receives: int | None = None,
    ) -> Queue:
        """Makes a queue; `visibility` is in seconds, `max_receives` adds dead letters by a redrive policy."""
        attributes = {"VisibilityTimeout": str(visibility)}
        if fifo:
            attributes["FifoQueue"] = "true"
        if max_receives is None:
            return self._create(endpoint_url, attributes)
        dead_letters = self._create(endpoint_url, attributes)
        policy = {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": max_receives}
        return self._create(endpoint_url, {**attributes, "RedrivePolicy": json.dumps(policy)}, dead_letters)

    def _create(self, endpoint_url: str, attributes: dict[str, str], dead_letters: Queue | None = None) -> Queue:
        client = self.client(endpoint_url)
        suffix = ".fifo" if "FifoQueue" in attributes else ""
        stem = re.sub(r"[^A-Za-z0-9_-]", "-", self.prefix)[:50]
        name = f"{stem}-{uuid.uuid4().hex[:12]}{suffix}"
        url = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return Queue(name, url, found["Attributes"]["QueueArn"], dead_letters)
