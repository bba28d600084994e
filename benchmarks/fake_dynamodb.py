"""The fake of DynamoDB Streams as a server: one table, `orders`, changed by a control path that no client uses.

    POST /control/put {"Key", "Value", "Count"}   writes an item, `Count` times; answers the sequence numbers
    POST /control/delete {"Key", "Expired"}       by a caller, or by time to live
    POST /control/roll {"Into"}                   closes each open shard, `Into` others go on for it
    POST /control/create {"View"}                 switches the stream off and on again; answers its new ARN
    POST /control/trim {"Count"}                  ends the retention of the oldest records of each shard
    POST /control/expire {}                       ends all iterators

Run as `python -m benchmarks.fake_dynamodb`; the port is the first line it prints.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from benchmarks.dynamodb_table import BOTH_IMAGES
from benchmarks.fake_dynamodb_streams import FakeStreams
from benchmarks.wire import Connection, Request, response, serve, server_arguments

AWS_JSON = b"application/x-amz-json-1.0"


class Control:
    """What happens to the table, by path."""

    def __init__(self, fake: FakeStreams) -> None:
        self._fake = fake
        self._table = fake.table

    def put(self, key: str, value: int = 1, count: int = 1) -> list[str]:
        return [self._table.put(key, value + number) for number in range(count)]

    def delete(self, key: str, *, expired: bool = False) -> str:
        return self._table.delete(key, expired=expired)

    def roll(self, into: int = 1) -> list[str]:
        return [shard.id for shard in self._table.roll(into=into)]

    def create(self, view: str | None = None) -> str:
        return self._table.create(view).arn

    def trim(self, count: int) -> None:
        for shard in self._table.stream.shards.values():
            shard.trimmed = min(shard.trimmed + count, len(shard.records))

    def expire(self) -> None:
        self._fake.expire_iterators()


def answering(fake: FakeStreams) -> Callable[[Request], bytes]:
    control = Control(fake)

    def answer(request: Request) -> bytes:
        arguments: dict[str, Any] = orjson.loads(request.body) if request.body else {}
        if not request.operation:
            act = getattr(control, request.path.rpartition("/")[2])
            return response(200, orjson.dumps(act(**{name.lower(): value for name, value in arguments.items()})))
        try:
            return response(200, orjson.dumps(fake.answer(request.operation, arguments)), AWS_JSON)
        except ClientError as error:
            told = error.response["Error"]
            shape = {"__type": f"com.amazonaws.dynamodb.v20120810#{told['Code']}", "message": told["Message"]}
            return response(400, orjson.dumps(shape), AWS_JSON)

    return answer


def main() -> None:
    options = server_arguments("DynamoDB Streams with shards that roll over.").parse_args()
    answer = answering(FakeStreams(time.time, view=BOTH_IMAGES))

    def make(_: int) -> Callable[[], Connection]:
        return lambda: Connection(answer, options.delay)

    serve(make, options.port)


if __name__ == "__main__":
    main()
