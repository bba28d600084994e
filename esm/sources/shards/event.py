"""What the events of both services have in common: the list around the records, and how a batch is described.

The shapes are those of "Using AWS Lambda with Amazon Kinesis" and "… with Amazon DynamoDB" of the AWS Lambda
Developer Guide.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from esm.core.batching import PAYLOAD_LIMIT
from esm.model import Record

_HEADER = b'{"Records":['
_TRAILER = b"]}"

FRAME = len(_HEADER) + len(_TRAILER)
"""Bytes around the fragments."""

LARGEST_FRAGMENT = PAYLOAD_LIMIT - FRAME
"""Bytes of the largest record that fits into an invocation alone."""


def enveloped(records: Sequence[Record]) -> bytes:
    """The event of a batch; joined once, because it may have megabytes."""
    fragments = [record.event for record in records]
    fragments[0] = _HEADER + fragments[0]
    fragments[-1] += _TRAILER
    return b",".join(fragments)


def too_large(event: bytes) -> str:
    """Why a record is rejected."""
    return f"the event of this record alone takes {len(event):,} bytes of {LARGEST_FRAGMENT:,}"


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
