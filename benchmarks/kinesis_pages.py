"""What a Kinesis record costs between the bytes of GetRecords and the record that can be sent.

    python -m benchmarks.kinesis_pages

No server and no network: the smallest of many rounds over one page of 1,000 records of 1 KiB, in microseconds of
CPU for each record, and the cost of a read that brings nothing, by 1,000 readers side by side.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import uvloop

from benchmarks.bodies import body
from benchmarks.kinesis_service import FIRST
from esm.checkpoint import Start
from esm.core.pacing import Quota
from esm.sources.kinesis.answers import read_records
from esm.sources.kinesis.event import Encoder, KinesisCodec
from esm.sources.kinesis.shard import KinesisShard
from esm.sources.kinesis.stream import Stream
from esm.sources.shards import Pacer, ShardReader
from esm.world import real_world

COUNT, SIZE, ROUNDS = 1000, 1024, 50
SHARDS, SECONDS = 1000, 5.0
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
IDENTITY = "arn:aws:iam::000000000000:root"


def page() -> bytes:
    records = [
        b'{"SequenceNumber":"%d","ApproximateArrivalTimestamp":1.545084650987E9,"Data":"%b","PartitionKey":"key-%d"}'
        % (FIRST + number, base64.b64encode(body(number, 0.0, SIZE).encode()), number % 100)
        for number in range(COUNT)
    ]
    return b'{"Records":[%b],"NextShardIterator":"next","MillisBehindLatest":0}' % b",".join(records)


def lean(answer: bytes) -> bytes:
    """What a loop written for this alone would do: the general parser, the general writer."""
    fragments = [
        orjson.dumps(
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": record["PartitionKey"],
                    "sequenceNumber": record["SequenceNumber"],
                    "data": record["Data"],
                    "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{record['SequenceNumber']}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": IDENTITY,
                "awsRegion": "us-east-1",
                "eventSourceARN": ARN,
            }
        )
        for record in orjson.loads(answer)["Records"]
    ]
    return b'{"Records":[%b]}' % b",".join(fragments)


def engine(answer: bytes) -> bytes:
    encoder = Encoder(ARN, "shardId-000000000000", IDENTITY)
    records, _ = encoder.encode(read_records(answer).Records, 0, 0.0, 0.0)
    return KinesisCodec().render(records)


def cost(work: Callable[[bytes], bytes], answer: bytes) -> float:
    """Microseconds of CPU for each record, in the best round."""
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work(answer)
        spent.append(time.process_time() - began)
    return min(spent) / COUNT * 1e6


class Silent:
    """A service in which nothing ever happens."""

    async def fetch(self, operation: str, _: Mapping[str, Any]) -> bytes:
        await asyncio.sleep(0)
        if operation == "GetShardIterator":
            return b'{"ShardIterator":"first"}'
        return b'{"Records":[],"NextShardIterator":"next","MillisBehindLatest":0}'


async def idle() -> float:
    """Microseconds of CPU for each read of an idle shard, without the call itself."""
    world = real_world()
    reads = 0

    async def follow(name: str) -> None:
        nonlocal reads
        encoder = Encoder(ARN, name, IDENTITY)
        shard = KinesisShard(Silent(), Stream("orders", ARN), name, encoder, world, digits=0)  # type: ignore[arg-type]
        reader = ShardReader(shard, Start(), Pacer(Quota(5, 2e6), world), world, on_end=lambda: None)
        while time.monotonic() < until:
            await reader.read(1000, 1.0)
            reads += 1

    until = time.monotonic() + SECONDS
    began = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(SHARDS):
            tasks.create_task(follow(f"shardId-{number:012d}"))
    return (time.process_time() - began) / reads * 1e6


def main() -> None:
    answer = page()
    assert json.loads(engine(answer)) == json.loads(lean(answer))
    print(f"general parser and writer  {cost(lean, answer):5.2f} µs per record of {SIZE} bytes")
    print(f"this source                {cost(engine, answer):5.2f} µs per record of {SIZE} bytes")
    print(f"a read of an idle shard    {uvloop.run(idle()):5.1f} µs without the call, {SHARDS} readers")


if __name__ == "__main__":
    main()
