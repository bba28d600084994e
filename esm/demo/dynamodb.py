"""The table of the demonstration: every message is one change of an item, and the table's stream tells of it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from msgspec import Struct

from esm.demo.aws import Service
from esm.demo.notices import Place
from esm.demo.records import change_in
from esm.demo.workload import Message


class Table(Struct, frozen=True):
    """A table with a stream. `tables` and `streams` are the two services that it takes."""

    name: str
    tables: Service
    streams: Service

    async def create(self) -> None:
        """With old and new images in its stream."""
        await self.tables.call(
            "CreateTable",
            TableName=self.name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        await self._described()

    async def send(self, messages: Sequence[Message]) -> None:
        """Changes the items, in the order given: a message that removes deletes its item, the others write it."""
        for message in messages:
            key = {"id": {"S": message.group}}
            if message.removes:
                await self.tables.call("DeleteItem", TableName=self.name, Key=key)
            else:
                item = {**key, "change": {"S": message.id}, "nature": {"S": message.nature}}
                await self.tables.call("PutItem", TableName=self.name, Item=item)

    async def places(self) -> dict[Place, str]:
        """Where in the stream each change stands, as the stream itself says: a table does not tell."""
        arn = (await self._described())["LatestStreamArn"]
        described = await self.streams.call("DescribeStream", StreamArn=arn)
        shards = [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]]
        return {
            Place(shard, int(record["dynamodb"]["SequenceNumber"])): change_in(record)["id"]
            for shard in shards
            async for record in self._records(arn, shard)
        }

    async def _records(self, arn: str, shard: str) -> AsyncIterator[dict[str, Any]]:
        """Those that are there. An open shard has no end, but only behind its last record is a page empty here."""
        start = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await self.streams.call("GetShardIterator", **start))["ShardIterator"]
        while iterator:
            page = await self.streams.call("GetRecords", ShardIterator=iterator)
            for record in page["Records"]:
                yield record
            iterator = page.get("NextShardIterator") if page["Records"] else None

    async def _described(self) -> dict[str, Any]:
        return await self.tables.settled("TableStatus", "DescribeTable", TableName=self.name)
