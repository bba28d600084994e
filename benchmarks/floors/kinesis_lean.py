"""The loop over a stream of someone who counts: a task for each shard, requests signed by hand, orjson, uvloop.

It lists once, keeps no position and follows no split. An empty page is followed by a pause, so that a quiet shard
is read once a second.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import aiohttp
import orjson
import uvloop

from benchmarks.floors.arguments import parse_stream
from benchmarks.floors.aws_json import Service, call


def event(shard: str, arn: str, region: str, records: list[dict[str, Any]]) -> bytes:
    """Made at one go: orjson is faster with the whole of it than with its parts."""
    account = arn.split(":")[4]
    constant = {"eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record"}
    constant |= {"invokeIdentityArn": f"arn:aws:iam::{account}:root", "awsRegion": region, "eventSourceARN": arn}
    return orjson.dumps(
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": record["PartitionKey"],
                        "sequenceNumber": record["SequenceNumber"],
                        "data": record["Data"],
                        "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
                    },
                    "eventID": f"{shard}:{record['SequenceNumber']}",
                    **constant,
                }
                for record in records
            ]
        }
    )


async def follow(http: aiohttp.ClientSession, kinesis: Service, o: argparse.Namespace, shard: str) -> None:
    asked = {"StreamName": o.stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await call(http, kinesis, "GetShardIterator", asked))["ShardIterator"]
    as_json = {"Content-Type": "application/json"}
    while iterator:
        began = time.monotonic()
        answer = await call(http, kinesis, "GetRecords", {"ShardIterator": iterator, "Limit": o.batch})
        records, iterator = answer["Records"], answer.get("NextShardIterator")
        if not records:
            await asyncio.sleep(began + 1 - time.monotonic())
            continue
        async with http.post(
            o.target, data=event(shard, o.stream_arn, o.region, records), headers=as_json
        ) as done:
            await done.read()
            done.raise_for_status()


async def main() -> None:
    o = parse_stream()
    kinesis = Service("kinesis", "Kinesis_20131202", "application/x-amz-json-1.1", o.endpoint, o.region)
    pool = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=pool) as http, asyncio.TaskGroup() as shards:
        for shard in (await call(http, kinesis, "ListShards", {"StreamName": o.stream}))["Shards"]:
            shards.create_task(follow(http, kinesis, o, shard["ShardId"]))


if __name__ == "__main__":
    uvloop.run(main())
