"""Destinations whose other end is missing or away for a while, on real servers."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from esm.destinations import BUILT_IN
from esm.errors import Undeliverable
from esm.plugins import DestinationContext
from esm.ports import Destination
from esm.testing.destination_suite import notice
from servers import REGION, QueueMaker, Server

PLUGINS = {plugin.name: plugin for plugin in BUILT_IN}


def opened(kind: str, server: Server, **options: Any) -> AbstractAsyncContextManager[Destination]:
    plugin = PLUGINS[kind]
    context = DestinationContext({"endpoint_url": server.endpoint_url, "region": REGION})
    return plugin.open(plugin.options.model_validate(options), context)


async def refusal(destination: Destination) -> str:
    with pytest.raises(Undeliverable) as caught:
        await destination.deliver(notice())
    return str(caught.value)


async def test_a_missing_queue_is_told(sqs_server: Server) -> None:
    async with opened("sqs", sqs_server, arn="arn:aws:sqs:us-east-1:000000000000:nobody-made-this") as destination:
        assert "Error occurred while SendMessage. SQS Error Code: AWS" in await refusal(destination)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("sns", {"arn": "arn:aws:sns:us-east-1:000000000000:missing"}, "while Publish. SNS Error Code: NotFound"),
        ("s3", {"bucket": "nobody-made-this"}, "while PutObject. S3 Error Code: NoSuchBucket"),
        (
            "lambda",
            {"arn": "arn:aws:lambda:us-east-1:000000000000:function:missing"},
            "while Invoke. Lambda Error Code: ResourceNotFoundException",
        ),
    ],
)
async def test_what_is_missing_is_told(ministack: Server, kind: str, options: dict[str, Any], said: str) -> None:
    async with opened(kind, ministack, **options) as destination:
        assert said in await refusal(destination)


async def test_a_queue_that_was_away_is_found_back(
    own_sqs_server: Server, make_queue: QueueMaker, boto_sqs: Callable[[str], Any]
) -> None:
    there = own_sqs_server.endpoint_url
    queue = await asyncio.to_thread(make_queue, there)
    async with opened("sqs", own_sqs_server, arn=queue.arn) as destination:
        await destination.deliver(notice("before"))
        await asyncio.to_thread(own_sqs_server.stop)
        assert "cannot connect to SQS at 127.0.0.1" in await refusal(destination)
        await asyncio.to_thread(own_sqs_server.start)
        await asyncio.to_thread(boto_sqs(there).create_queue, QueueName=queue.name)  # one of them forgets
        await destination.deliver(notice("after"))

    def last() -> list[str]:
        got = boto_sqs(there).receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        return [json.loads(one["Body"])["requestContext"]["requestId"] for one in got["Messages"]]

    assert "after" in await asyncio.to_thread(last)
