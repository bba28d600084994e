"""What a record of an event says of its message; the same words for all kinds of sources.

A message says how it wants to be treated. Queues and streams carry it as JSON, an item as attributes; a removal
leaves nothing but the old image, and always succeeds.
"""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from esm.demo.workload import Nature, removal


def records_of(event: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """All of an event; a topic's are listed by partition."""
    if "Records" in event:
        return list(event["Records"])
    return [record for records in event["records"].values() for record in records]


def source_of(record: Mapping[str, Any]) -> str:
    """A topic's record does not say it, its event does."""
    return str(record.get("eventSource", "kafka"))


def message_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """Members `id`, `group` and `nature`, as in `workload.Message`."""
    match source_of(record):
        case "aws:sqs":
            return dict(json.loads(record["body"]))
        case "aws:kinesis":
            return dict(json.loads(b64decode(record["kinesis"]["data"])))
        case "kafka":
            return dict(json.loads(b64decode(record["value"])))
        case _:
            return change_in(record)


def change_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a change of an item."""
    item = record["dynamodb"]["Keys"]["id"]["S"]
    if record["eventName"] == "REMOVE":
        return {"id": removal(item), "group": item, "nature": Nature.GOOD}
    image = record["dynamodb"]["NewImage"]
    return {"id": image["change"]["S"], "group": item, "nature": image["nature"]["S"]}


def item_identifier(record: Mapping[str, Any]) -> str | dict[str, Any]:
    """What names the record in `batchItemFailures`: message id, sequence number, or partition and offset."""
    match source_of(record):
        case "aws:sqs":
            return str(record["messageId"])
        case "aws:kinesis":
            return str(record["kinesis"]["sequenceNumber"])
        case "kafka":
            return {"partition": f"{record['topic']}-{record['partition']}", "offset": record["offset"]}
        case _:
            return str(record["dynamodb"]["SequenceNumber"])
