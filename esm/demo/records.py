"""What a record of an event says of its message; the same words for the three kinds of sources.

A message says how it wants to be treated. Queues and streams carry it as JSON, an item as attributes; a removal
leaves nothing but the old image, and always succeeds.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from esm.demo.workload import Nature, removal


def message_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """Members `id`, `group` and `nature`, as in `workload.Message`."""
    match record["eventSource"]:
        case "aws:sqs":
            return dict(json.loads(record["body"]))
        case "aws:kinesis":
            return dict(json.loads(b64decode(record["kinesis"]["data"])))
        case _:
            return change_in(record)


def change_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a change of an item."""
    item = record["dynamodb"]["Keys"]["id"]["S"]
    if record["eventName"] == "REMOVE":
        return {"id": removal(item), "group": item, "nature": Nature.GOOD}
    image = record["dynamodb"]["NewImage"]
    return {"id": image["change"]["S"], "group": item, "nature": image["nature"]["S"]}


def item_identifier(record: Mapping[str, Any]) -> str:
    """What names the record in `batchItemFailures`: its message id, or its sequence number."""
    match record["eventSource"]:
        case "aws:sqs":
            return str(record["messageId"])
        case "aws:kinesis":
            return str(record["kinesis"]["sequenceNumber"])
        case _:
            return str(record["dynamodb"]["SequenceNumber"])
