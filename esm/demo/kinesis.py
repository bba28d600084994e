"""The stream of the demonstration, and where in it every record stands."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from esm.demo.aws import Service
from esm.demo.failures import DemoFailed
from esm.demo.notices import Place
from esm.demo.workload import Message

_SHARDS = 2
_LOT = 100
_CHILDREN = 2
_LOOK_EVERY = 0.02


class DataStream:
    """A stream with two shards; the key of a record is the group of its message."""

    def __init__(self, service: Service, name: str, arn: str) -> None:
        self._service = service
        self._name = name
        self.arn = arn
        self._places: dict[Place, str] = {}

    @classmethod
    async def create(cls, service: Service, name: str) -> "DataStream":
        """One that is ready."""
        await service.call("CreateStream", StreamName=name, ShardCount=_SHARDS)
        described = await service.settled("StreamStatus", "DescribeStreamSummary", StreamName=name)
        return cls(service, name, described["StreamARN"])

    async def send(self, messages: Sequence[Message]) -> None:
        """In the order given."""
        for start in range(0, len(messages), _LOT):
            lot = messages[start : start + _LOT]
            answer = await self._service.call(
                "PutRecords", StreamName=self._name, Records=[_entry(message) for message in lot]
            )
            if answer["FailedRecordCount"]:
                raise DemoFailed(f"the stream {self._name} did not take {answer['FailedRecordCount']} records")
            for message, taken in zip(lot, answer["Records"], strict=True):
                self._places[Place(taken["ShardId"], int(taken["SequenceNumber"]))] = message.id

    async def places(self) -> Mapping[Place, str]:
        """Where each record stands, as the stream said when it took it."""
        return self._places

    async def split(self) -> tuple[str, Sequence[str]]:
        """Splits the first shard in the middle; gives its id and those of its children."""
        (parent, *_) = await self._shards()
        keys = parent["HashKeyRange"]
        middle = (int(keys["StartingHashKey"]) + int(keys["EndingHashKey"])) // 2
        await self._service.call(
            "SplitShard",
            StreamName=self._name,
            ShardToSplit=parent["ShardId"],
            NewStartingHashKey=str(middle),
        )
        await self._service.settled("StreamStatus", "DescribeStreamSummary", StreamName=self._name)
        return parent["ShardId"], await self._children(parent["ShardId"])

    async def _children(self, parent: str) -> Sequence[str]:
        while True:
            children = [shard["ShardId"] for shard in await self._shards() if shard.get("ParentShardId") == parent]
            if len(children) == _CHILDREN:
                return children
            await asyncio.sleep(_LOOK_EVERY)

    async def _shards(self) -> list[dict[str, Any]]:
        return list((await self._service.call("ListShards", StreamName=self._name))["Shards"])


def _entry(message: Message) -> dict[str, Any]:
    return {"Data": b64encode(message.body.encode()).decode(), "PartitionKey": message.group}
