"""What the events of SQS, Kinesis and DynamoDB have around their records: a list under the key `Records`.

The shapes are those of "Using Lambda with Amazon SQS", "… with Amazon Kinesis" and "… with Amazon DynamoDB" of the
AWS Lambda Developer Guide.
"""

from collections.abc import Sequence

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
