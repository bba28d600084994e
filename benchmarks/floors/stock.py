"""The loop most people would write: stock aiobotocore, one aiohttp session, N workers.

Nothing is tuned but the pool: with its default of 10 connections the long polls of 16 workers hold them all
and a delete waits up to 20 s for one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.session import get_session  # type: ignore[import-untyped]

from benchmarks.floors.arguments import parse


def event(messages: list[dict[str, Any]], options: argparse.Namespace) -> str:
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": options.queue_arn,
            "awsRegion": options.region,
        }
        for message in messages
    ]
    return json.dumps({"Records": records})


async def receive(sqs: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    received = await sqs.receive_message(
        QueueUrl=options.queue_url,
        MaxNumberOfMessages=options.page,
        WaitTimeSeconds=options.wait,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    return received.get("Messages", [])  # type: ignore[no-any-return]


async def gather(sqs: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.pages == 1:
        return await receive(sqs, options)
    pages = await asyncio.gather(*(receive(sqs, options) for _ in range(options.pages)))
    return [message for page in pages for message in page]


async def delete(sqs: Any, options: argparse.Namespace, messages: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    deleted = await sqs.delete_message_batch(QueueUrl=options.queue_url, Entries=entries)
    if deleted.get("Failed"):
        print("not deleted:", deleted["Failed"])


async def work(sqs: Any, http: aiohttp.ClientSession, options: argparse.Namespace) -> None:
    while True:
        messages = await gather(sqs, options)
        if not messages:
            continue
        headers = {"Content-Type": "application/json"}
        async with http.post(options.target, data=event(messages, options), headers=headers) as answer:
            await answer.read()
            if answer.status != 200:
                continue
        if options.pages == 1:
            await delete(sqs, options, messages)
        else:
            pages = (messages[n : n + 10] for n in range(0, len(messages), 10))
            await asyncio.gather(*(delete(sqs, options, page) for page in pages))


async def main() -> None:
    options = parse()
    session = get_session()
    config = AioConfig(region_name=options.region, max_pool_connections=options.workers * options.pages)
    async with (
        session.create_client("sqs", endpoint_url=options.endpoint, config=config) as sqs,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as workers,
    ):
        for _ in range(options.workers):
            workers.create_task(work(sqs, http, options))


if __name__ == "__main__":
    asyncio.run(main())
