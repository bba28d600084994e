"""The loop of someone who counts: aiohttp, SigV4 by hand with the key of the day kept, orjson, uvloop."""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import hmac
import operator
import os
import time
from typing import Any

import aiohttp
import orjson
import uvloop

from benchmarks.floors.arguments import parse

JSON_1_0 = "application/x-amz-json-1.0"
SIGNED = "content-type;host;x-amz-date;x-amz-target"
THEIRS = operator.itemgetter("MessageId", "ReceiptHandle", "Body", "Attributes", "MD5OfBody")
OURS = ("messageId", "receiptHandle", "body", "attributes", "md5OfBody")


@functools.cache
def day_key(day: str, region: str) -> bytes:
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (day, region, "sqs", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


async def call(http: aiohttp.ClientSession, o: argparse.Namespace, name: str, arguments: Any) -> Any:
    body, target = orjson.dumps(arguments), f"AmazonSQS.{name}"
    now, host = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), o.endpoint.split("//")[1]
    scope = f"{now[:8]}/{o.region}/sqs/aws4_request"
    signed = f"content-type:{JSON_1_0}\nhost:{host}\nx-amz-date:{now}\nx-amz-target:{target}\n"
    canonical = f"POST\n/\n\n{signed}\n{SIGNED}\n{hashlib.sha256(body).hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(day_key(now[:8], o.region), to_sign.encode(), "sha256").hex()
    signer = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    proof = f"{signer}, SignedHeaders={SIGNED}, Signature={signature}"
    headers = {"Content-Type": JSON_1_0, "X-Amz-Date": now, "X-Amz-Target": target, "Authorization": proof}
    async with http.post(o.endpoint, data=body, headers=headers, raise_for_status=True) as answer:
        return orjson.loads(await answer.read())


async def receive(http: aiohttp.ClientSession, o: argparse.Namespace, asked: Any) -> list[dict[str, Any]]:
    if o.pages == 1:
        return (await call(http, o, "ReceiveMessage", asked)).get("Messages", [])  # type: ignore[no-any-return]
    calls = (call(http, o, "ReceiveMessage", asked) for _ in range(o.pages))
    return [message for answer in await asyncio.gather(*calls) for message in answer.get("Messages", ())]


async def delete(http: aiohttp.ClientSession, o: argparse.Namespace, messages: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    deleted = await call(http, o, "DeleteMessageBatch", {"QueueUrl": o.queue_url, "Entries": entries})
    if deleted.get("Failed"):
        print("not deleted:", deleted["Failed"])


async def work(http: aiohttp.ClientSession, o: argparse.Namespace) -> None:
    constant = {"messageAttributes": {}, "eventSource": "aws:sqs"}
    constant |= {"eventSourceARN": o.queue_arn, "awsRegion": o.region}
    asked = {"QueueUrl": o.queue_url, "MaxNumberOfMessages": o.page, "WaitTimeSeconds": o.wait}
    asked |= {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    while True:
        messages = await receive(http, o, asked)
        if not messages:
            continue
        records = [{**dict(zip(OURS, THEIRS(m), strict=True)), **constant} for m in messages]
        event, as_json = orjson.dumps({"Records": records}), {"Content-Type": "application/json"}
        async with http.post(o.target, data=event, headers=as_json) as answer:
            if answer.status != 200:
                continue
            await answer.read()
        if o.pages == 1:
            await delete(http, o, messages)
        else:
            await asyncio.gather(*(delete(http, o, messages[n : n + 10]) for n in range(0, len(messages), 10)))


async def main() -> None:
    options = parse()
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=pool) as http, asyncio.TaskGroup() as workers:
        for _ in range(options.workers):
            workers.create_task(work(http, options))


if __name__ == "__main__":
    uvloop.run(main())
