"""What both services have in common on the way from an answer to an event, and to a description of a batch.

The description is the one in "Using AWS Lambda with Amazon Kinesis" and "… with Amazon DynamoDB" of the AWS Lambda
Developer Guide.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from esm.model import Record


def mended(body: bytes) -> bytes:
    """Half a surrogate pair in a key, which lax servers let through, must not wedge a shard. Raises ValueError."""
    return json.dumps(json.loads(body.decode(errors="replace")), ensure_ascii=False).encode(errors="replace")


def batch_info(
    shard: str, records: Sequence[Record], stream: str, spelled: Callable[[float], str]
) -> Mapping[str, Any]:
    """The part of an invocation record that tells which records it is about.

    `stream` is an ARN, `spelled` writes a time in epoch seconds as the service does.
    """
    first, last = records[0], records[-1]
    return {
        "shardId": shard,
        "startSequenceNumber": first.id,
        "endSequenceNumber": last.id,
        "approximateArrivalOfFirstRecord": spelled(first.arrived),
        "approximateArrivalOfLastRecord": spelled(last.arrived),
        "batchSize": len(records),
        "streamArn": stream,
    }
