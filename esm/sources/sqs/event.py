"""SQS messages as the event of an invocation.

The shape is the one in "Using Lambda with Amazon SQS" of the AWS Lambda Developer Guide, key by key in the
order AWS sends them. A message is encoded once, when it is read; its body is passed on as it is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from esm.model import Record
from esm.sources.envelope import FRAME, enveloped

# As in AWS's examples; what is not listed follows in the order it came.
_ATTRIBUTES = (
    "ApproximateReceiveCount",
    "AWSTraceHeader",
    "SentTimestamp",
    "SequenceNumber",
    "MessageGroupId",
    "SenderId",
    "MessageDeduplicationId",
    "ApproximateFirstReceiveTimestamp",
    "DeadLetterQueueSourceArn",
)


class SqsCodec:
    """`{"Records": […]}` around the fragments."""

    @property
    def frame(self) -> int:
        """Bytes around the fragments."""
        return FRAME

    def render(self, records: Sequence[Record]) -> bytes:
        """The event of a batch."""
        return enveloped(records)

    def view(self, record: Record) -> Mapping[str, Any]:
        """The message as the function would see it; the body is text."""
        try:
            view: dict[str, Any] = orjson.loads(record.event)
        except orjson.JSONDecodeError:  # half a surrogate pair, see `_dumped`
            view = json.loads(record.event)
        return view


class Fragments:
    """Encodes the messages of one queue. `window` is the batching window in seconds."""

    def __init__(self, arn: str, window: float) -> None:
        self._tail = {"eventSource": "aws:sqs", "eventSourceARN": arn, "awsRegion": arn.split(":")[3]}
        self._null_md5 = window >= 1

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """The JSON fragment of a message as ReceiveMessage returned it."""
        fragment: dict[str, Any] = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message.get("Body", ""),
            "attributes": _ordered(message.get("Attributes") or {}),
            "messageAttributes": {
                name: _attribute(value) for name, value in (message.get("MessageAttributes") or {}).items()
            },
        }
        # AWS leaves the key out of mappings without a window and sends null in those with one.
        md5 = message.get("MD5OfMessageAttributes")
        if md5 is not None or self._null_md5:
            fragment["md5OfMessageAttributes"] = md5
        fragment["md5OfBody"] = message.get("MD5OfBody", "")
        return _dumped(fragment | self._tail)


def _ordered(attributes: Mapping[str, str]) -> dict[str, str]:
    known = {name: attributes[name] for name in _ATTRIBUTES if name in attributes}
    return known if len(known) == len(attributes) else {**known, **attributes}


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """The lists are always there and always empty: SQS does not implement them."""
    attribute: dict[str, Any] = {}
    if (text := value.get("StringValue")) is not None:
        attribute["stringValue"] = text
    if (base64 := value.get("BinaryValue")) is not None:
        attribute["binaryValue"] = base64
    return {**attribute, "stringListValues": [], "binaryListValues": [], "dataType": value.get("DataType", "")}


def _dumped(fragment: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(fragment)
    except orjson.JSONEncodeError:
        # Half a surrogate pair, which SQS refuses but other servers let through: escaped, it travels as it came.
        return json.dumps(fragment, separators=(",", ":")).encode("ascii")
