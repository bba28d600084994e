"""The operations of the stand-in for Kinesis by their name in X-Amz-Target, and its control path."""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.bodies import body
from benchmarks.kinesis_shard import KinesisError, Shard, shares

ACCOUNT = "000000000000"
REGION = "us-east-1"
LIFETIME = 300.0
FIRST = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898

Arguments = dict[str, Any]


class Stream:
    """A stream and its shards, in the order in which they were made."""

    def __init__(self, name: str, count: int, numbers: itertools.count[int]) -> None:
        self.name = name
        self.arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
        self.shards: dict[str, Shard] = {}
        self.numbers = numbers
        for keys in shares(count):
            self.add(keys)

    def add(self, keys: tuple[int, int], *parents: Shard) -> None:
        name = f"shardId-{len(self.shards):012d}"
        shard = Shard(name, keys, next(self.numbers), tuple(parent.name for parent in parents))
        for parent in parents:
            parent.closed = True
            parent.children.append(shard)
        self.shards[name] = shard

    def shard(self, name: str) -> Shard:
        if name not in self.shards:
            raise KinesisError("ResourceNotFoundException", f"Shard {name} in stream {self.name} does not exist")
        return self.shards[name]

    def taker(self, key: str) -> Shard:
        """The open shard that takes a partition key."""
        hashed = int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest())
        return next(s for s in self.shards.values() if not s.closed and s.keys[0] <= hashed <= s.keys[1])

    def put(self, data: bytes, key: str) -> Arguments:
        """`data` is base64."""
        shard, number = self.taker(key), next(self.numbers)
        shard.put(number, data, orjson.dumps(key), len(data) * 3 // 4 + len(key))
        return {"SequenceNumber": str(number), "ShardId": shard.name}


class Service:
    """The operations and the control path. `enforce`: refuse reads beyond what a shard gives."""

    def __init__(self, *, enforce: bool) -> None:
        self._enforce = enforce
        self._streams: dict[str, Stream] = {}
        self._numbers = itertools.count(FIRST)
        self._expired = 0.0
        self._throttled = 0
        self._calls: Counter[str] = Counter()
        self._operations: dict[str, Callable[[Arguments], bytes | Arguments]] = {
            "CreateStream": self._create,
            "DeleteStream": self._delete,
            "DescribeStreamSummary": self._describe,
            "ListShards": self._list,
            "GetShardIterator": self._iterator,
            "GetRecords": self._get,
            "PutRecord": lambda arguments: self._find(arguments).put(
                arguments["Data"].encode(), arguments["PartitionKey"]
            ),
            "PutRecords": self._put,
            "SplitShard": self._split,
            "MergeShards": self._merge,
        }
        self._controls: dict[str, Callable[[Arguments], Any]] = {
            "/control/preload": self._preload,
            "/control/trim": self._trim,
            "/control/expire": self._expire,
            "/control/totals": self._totals,
            "/control/ids": self._ids,
        }

    def operate(self, operation: str, arguments: Arguments) -> bytes:
        """Raises KinesisError."""
        if operation not in self._operations:
            raise KinesisError("UnknownOperationException", f"the stand-in does not know {operation}")
        self._calls[operation] += 1
        answer = self._operations[operation](arguments)
        return answer if isinstance(answer, bytes) else orjson.dumps(answer)

    def control(self, path: str, arguments: Arguments) -> bytes | None:
        return orjson.dumps(self._controls[path](arguments)) if path in self._controls else None

    def _find(self, arguments: Arguments) -> Stream:
        name = arguments.get("StreamName") or arguments.get("StreamARN", "").rpartition("/")[2]
        if name not in self._streams:
            text = f"Stream {name} under account {ACCOUNT} not found."
            raise KinesisError("ResourceNotFoundException", text)
        return self._streams[name]

    def _create(self, arguments: Arguments) -> Arguments:
        name = arguments["StreamName"]
        self._streams[name] = Stream(name, arguments.get("ShardCount", 4), self._numbers)
        return {}

    def _delete(self, arguments: Arguments) -> Arguments:
        del self._streams[self._find(arguments).name]
        return {}

    def _describe(self, arguments: Arguments) -> Arguments:
        stream = self._find(arguments)
        count = sum(not shard.closed for shard in stream.shards.values())
        summary = {"StreamName": stream.name, "StreamARN": stream.arn, "StreamStatus": "ACTIVE"}
        return {"StreamDescriptionSummary": {**summary, "RetentionPeriodHours": 24, "OpenShardCount": count}}

    def _list(self, arguments: Arguments) -> Arguments:
        name, _, begin = arguments.get("NextToken", "").rpartition("/")
        stream = self._find({"StreamName": name} if name else arguments)
        at, most = int(begin or 0), arguments.get("MaxResults", 1000)
        shards = [shard.described() for shard in itertools.islice(stream.shards.values(), at, at + most)]
        more = {"NextToken": f"{stream.name}/{at + most}"} if at + most < len(stream.shards) else {}
        return {"Shards": shards, **more}

    def _iterator(self, arguments: Arguments) -> Arguments:
        stream, now = self._find(arguments), time.time()
        shard = stream.shard(arguments["ShardId"])
        return {"ShardIterator": f"{stream.name}/{shard.name}/{shard.index_of(arguments, now)}/{now}"}

    def _get(self, arguments: Arguments) -> bytes:
        name, shard_name, index, made = arguments["ShardIterator"].split("/")
        shard, now = self._find({"StreamName": name}).shard(shard_name), time.time()
        if float(made) <= max(self._expired, now - LIFETIME):
            raise KinesisError("ExpiredIteratorException", "Iterator expired.")
        shard.reads += 1
        if not shard.quota.admits(now) and self._enforce:
            self._throttled += 1
            raise KinesisError("ProvisionedThroughputExceededException", f"Rate exceeded for shard {shard_name}.")
        begin = max(int(index), shard.trimmed)
        end, size = shard.page(begin, arguments.get("Limit", 10_000))
        shard.quota.charge(now, size)
        fields = b'"Records":[%b],"MillisBehindLatest":%d' % (
            b",".join(shard.fragments[begin:end]),
            shard.behind(end, now),
        )
        if not shard.closed or end < len(shard.numbers):
            return b'{%b,"NextShardIterator":"%b"}' % (fields, f"{name}/{shard_name}/{end}/{now}".encode())
        children = orjson.dumps([child.as_child() for child in shard.children])
        return b'{%b,"ChildShards":%b}' % (fields, children)

    def _put(self, arguments: Arguments) -> Arguments:
        stream = self._find(arguments)
        put = [stream.put(record["Data"].encode(), record["PartitionKey"]) for record in arguments["Records"]]
        return {"FailedRecordCount": 0, "Records": put}

    def _split(self, arguments: Arguments) -> Arguments:
        stream = self._find(arguments)
        parent, middle = stream.shard(arguments["ShardToSplit"]), int(arguments["NewStartingHashKey"])
        stream.add((parent.keys[0], middle - 1), parent)
        stream.add((middle, parent.keys[1]), parent)
        return {}

    def _merge(self, arguments: Arguments) -> Arguments:
        stream = self._find(arguments)
        one, other = stream.shard(arguments["ShardToMerge"]), stream.shard(arguments["AdjacentShardToMerge"])
        stream.add((min(one.keys[0], other.keys[0]), max(one.keys[1], other.keys[1])), one, other)
        return {}

    def _preload(self, arguments: Arguments) -> Arguments:
        """`Count` records of `BodyBytes`, with `Keys` different partition keys."""
        stream, first = self._find(arguments), arguments.get("First", 0)
        for number in range(first, first + arguments["Count"]):
            text = body(number, time.monotonic(), arguments["BodyBytes"])
            stream.put(base64.b64encode(text.encode()), f"key-{number % arguments.get('Keys', 1000)}")
        return {}

    def _trim(self, arguments: Arguments) -> Arguments:
        """The oldest `Count` records of each shard are gone, as if retention had ended."""
        for shard in self._find(arguments).shards.values():
            shard.trimmed = min(shard.trimmed + arguments["Count"], len(shard.numbers))
        return {}

    def _expire(self, _: Arguments) -> Arguments:
        """Every iterator that was given out until now has expired."""
        self._expired = time.time()
        return {}

    def _totals(self, _: Arguments) -> Arguments:
        shards = [shard for stream in self._streams.values() for shard in stream.shards.values()]
        return {
            "sent": sum(len(shard.numbers) for shard in shards),
            "reads": sum(shard.reads for shard in shards),
            "fewest_reads": min((shard.reads for shard in shards), default=0),
            "most_reads": max((shard.reads for shard in shards), default=0),
            "throttled": self._throttled,
            "calls": self._calls,
        }

    def _ids(self, _: Arguments) -> list[str]:
        """Every record as events name it: by shard and sequence number."""
        shards = [shard for stream in self._streams.values() for shard in stream.shards.values()]
        return [f"{shard.name}:{number}" for shard in shards for number in shard.numbers]
