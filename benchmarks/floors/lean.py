"""The loop of someone who counts: aiohttp, requests signed by hand, orjson, uvloop."""

from __future__ import annotations

import argparse
import asyncio
import operator
from typing import Any

import aiohttp
import orjson
import uvloop

from benchmarks.floors.arguments import parse
from benchmarks.floors.aws_json import Service, call

THEIRS = operator.itemgetter("MessageId", "ReceiptHandle", "Body", "Attributes", "MD5OfBody")
OURS = ("messageId", "receiptHandle", "body", "attributes", "md5OfBody")


async def receive(http: aiohttp.ClientSession, sqs: Service, pages: int, asked: Any) -> list[dict[str, Any]]:
    if pages == 1:
        return (await call(http, sqs, "ReceiveMessage", asked)).get("Messages", [])  # type: ignore[no-any-return]
    calls = (call(http, sqs, "ReceiveMessage", asked) for _ in range(pages))
    return [message for answer in await asyncio.gather(*calls) for message in answer.get("Messages", ())]


async def delete(http: aiohttp.ClientSession, sqs: Service, url: str, messages: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    deleted = await call(http, sqs, "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})
    if deleted.get("Failed"):
        print("not deleted:", deleted["Failed"])


async def work(http: aiohttp.ClientSession, o: argparse.Namespace) -> None:
    sqs = Service("sqs", "AmazonSQS", "application/x-amz-json-1.0", o.endpoint, o.region)
    constant = {"messageAttributes": {}, "eventSource": "aws:sqs"}
    constant |= {"eventSourceARN": o.queue_arn, "awsRegion": o.region}
    asked = {"QueueUrl": o.queue_url, "MaxNumberOfMessages": o.page, "WaitTimeSeconds": o.wait}
    asked |= {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while True:
        messages = await receive(http, sqs, o.pages, asked)
        if not messages:
            continue
        records = [{**dict(zip(OURS, THEIRS(m), strict=True)), **constant} for m in messages]
        event, as_json = orjson.dumps({"Records": records}), {"Content-Type": "application/json"}
        async with http.post(o.target, data=event, headers=as_json) as answer:
            if answer.status != 200:
                continue
            await answer.read()
        if o.pages == 1:
            await delete(http, sqs, o.queue_url, messages)
        else:
            tens = (messages[n : n + 10] for n in range(0, len(messages), 10))
            await asyncio.gather(*(delete(http, sqs, o.queue_url, ten) for ten in tens))


async def main() -> None:
    options = parse()
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=pool) as http, asyncio.TaskGroup() as workers:
        for _ in range(options.workers):
            workers.create_task(work(http, options))


if __name__ == "__main__":
    uvloop.run(main())
