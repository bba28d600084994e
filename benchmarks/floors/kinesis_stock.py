"""The loop over a stream that most people would write: stock aiobotocore, aiohttp, a task for each shard.

Nothing is tuned but the pool, which must not be smaller than the number of shards. It lists once, keeps no
position and follows no split.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.session import get_session  # type: ignore[import-untyped]

from benchmarks.floors.arguments import parse_stream


def event(shard: str, options: argparse.Namespace, records: list[dict[str, Any]]) -> str:
    account = options.stream_arn.split(":")[4]
    return json.dumps(
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": record["PartitionKey"],
                        "sequenceNumber": record["SequenceNumber"],
                        "data": base64.b64encode(record["Data"]).decode(),
                        "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
                    },
                    "eventSource": "aws:kinesis",
                    "eventVersion": "1.0",
                    "eventID": f"{shard}:{record['SequenceNumber']}",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": f"arn:aws:iam::{account}:root",
                    "awsRegion": options.region,
                    "eventSourceARN": options.stream_arn,
                }
                for record in records
            ]
        }
    )


async def follow(kinesis: Any, http: aiohttp.ClientSession, options: argparse.Namespace, shard: str) -> None:
    first = await kinesis.get_shard_iterator(
        StreamName=options.stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    iterator = first["ShardIterator"]
    while iterator:
        page = await kinesis.get_records(ShardIterator=iterator, Limit=options.batch)
        iterator = page.get("NextShardIterator")
        if not page["Records"]:
            await asyncio.sleep(1)
            continue
        headers = {"Content-Type": "application/json"}
        data = event(shard, options, page["Records"])
        async with http.post(options.target, data=data, headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()


async def main() -> None:
    options = parse_stream()
    config = AioConfig(region_name=options.region, max_pool_connections=1000)
    async with (
        get_session().create_client("kinesis", endpoint_url=options.endpoint, config=config) as kinesis,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
        asyncio.TaskGroup() as shards,
    ):
        for shard in (await kinesis.list_shards(StreamName=options.stream))["Shards"]:
            shards.create_task(follow(kinesis, http, options, shard["ShardId"]))


if __name__ == "__main__":
    asyncio.run(main())
