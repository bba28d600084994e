"""DynamoDB tables of a test's own, and what their streams hold."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]

from .queues import REGION


def make_table(client: Any, view: str) -> tuple[str, str]:
    """Its name, which no other has, and the ARN of its stream; the key is the text `id`."""
    name = f"table-{uuid.uuid4().hex[:12]}"
    made = client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
    )
    return name, made["TableDescription"]["LatestStreamArn"]


class Table:
    """A table whose stream has both images, at a server."""

    def __init__(self, endpoint_url: str) -> None:
        self._session = boto3.session.Session()
        self._endpoint_url = endpoint_url
        self._tables = self._client("dynamodb")
        self.name, self.arn = make_table(self._tables, "NEW_AND_OLD_IMAGES")

    def put(self, key: str, number: int) -> None:
        """A new item, or another number for one that is there."""
        self._tables.put_item(TableName=self.name, Item={"id": {"S": key}, "n": {"N": str(number)}})

    def remove(self, key: str) -> None:
        self._tables.delete_item(TableName=self.name, Key={"id": {"S": key}})

    def new_stream(self) -> str:
        """Switches the stream off and on again; returns the ARN of the new one."""
        off: dict[str, Any] = {"StreamEnabled": False}
        self._tables.update_table(TableName=self.name, StreamSpecification=off)
        on = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        changed = self._tables.update_table(TableName=self.name, StreamSpecification=on)
        return str(changed["TableDescription"]["LatestStreamArn"])

    def contents(self, arn: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """All records of a stream, each with the id of its shard."""
        streams = self._client("dynamodbstreams")
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            place = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = streams.get_shard_iterator(**place)["ShardIterator"]
            while iterator:
                page = streams.get_records(ShardIterator=iterator)
                yield from ((shard["ShardId"], record) for record in page["Records"])
                iterator = page["Records"] and page.get("NextShardIterator")

    def _client(self, service: str) -> Any:
        return self._session.client(service, region_name=REGION, endpoint_url=self._endpoint_url)
