"""Kinesis streams of a test's own, and the fast stand-in for Kinesis as one more server."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

from .queues import REGION

_ROOT = Path(__file__).parents[2]
_WHOLE = 2**128
_PATIENCE = 15.0


def kinesis_client(endpoint_url: str) -> Any:
    """A boto3 client that tries once and waits at most 10 s."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
    return boto3.client("kinesis", region_name=REGION, endpoint_url=endpoint_url, config=config)


class DataStream:
    """A stream with `shards` shards, ready to use."""

    def __init__(self, client: Any, name: str, shards: int = 1) -> None:
        self.client = client
        self.name = name
        client.create_stream(StreamName=name, ShardCount=shards)
        self._settle()

    @property
    def arn(self) -> str:
        return str(self._summary()["StreamARN"])

    def put(self, count: int, key: str, data: bytes = b'{"hello":"world"}') -> Sequence[str]:
        """One after the other; returns the sequence numbers."""
        return [
            str(self.client.put_record(StreamName=self.name, PartitionKey=key, Data=data)["SequenceNumber"])
            for _ in range(count)
        ]

    def put_batch(self, records: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Keys with their data in one call; whether each was taken."""
        entries = [{"PartitionKey": key, "Data": data} for key, data in records]
        answer = self.client.put_records(StreamName=self.name, Records=entries)
        return ["ErrorCode" not in one for one in answer["Records"]]

    def shards(self) -> list[dict[str, Any]]:
        """All that are listed, closed ones too; at most 1,000."""
        return list(self.client.list_shards(StreamName=self.name)["Shards"])

    def contents(self, shard: str) -> Iterator[dict[str, Any]]:
        """All records of a shard, in its order."""
        answer = self.client.get_shard_iterator(
            StreamName=self.name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        iterator = answer["ShardIterator"]
        while iterator:
            page = self.client.get_records(ShardIterator=iterator, Limit=1000)
            yield from page["Records"]
            iterator = page["Records"] and page.get("NextShardIterator")

    def open_shards(self) -> list[dict[str, Any]]:
        """In the order of their hash keys."""
        open_ = [shard for shard in self.shards() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
        return sorted(open_, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def split(self) -> None:
        """The first open shard, in the middle."""
        shard = self.open_shards()[0]
        low, high = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        self.client.split_shard(
            StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high + 1) // 2)
        )
        self._settle()

    def merge(self) -> None:
        """The first two open shards."""
        one, other, *_ = self.open_shards()
        self.client.merge_shards(
            StreamName=self.name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"]
        )
        self._settle()

    def _summary(self) -> dict[str, Any]:
        return dict(self.client.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"])

    def _settle(self) -> None:
        """Until the change is carried out."""
        deadline = time.monotonic() + _PATIENCE
        while self._summary()["StreamStatus"] != "ACTIVE":
            assert time.monotonic() < deadline, f"{self.name} is not ready"
            time.sleep(0.02)


class StandIn:
    """The stand-in at an address, and what can be done to it behind its clients' back."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url

    def control(self, path: str, **arguments: Any) -> Any:
        """See `benchmarks.fake_kinesis`."""
        request = urllib.request.Request(f"{self.endpoint_url}/control/{path}", json.dumps(arguments).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def kinesis_stand_in(*options: str) -> Iterator[StandIn]:
    """Started for as long as the context is open."""
    command = (sys.executable, "-m", "benchmarks.fake_kinesis", *options)
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield StandIn(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()
