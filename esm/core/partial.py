"""Reading a partial batch response: which records does the function say have failed?

One function over raw bytes. Every row of AWS's answer table is decided here and nowhere else: what is full
success, what is full failure, what names failed items. Identifiers are compared exactly, type included.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

import msgspec

WHOLE_BATCH = "the whole batch is treated as failed"


class Unreadable(msgspec.Struct, frozen=True):
    """The answer is no valid partial response; AWS then treats the whole batch as failed."""

    why: str


Naming = Callable[[object], str | None]
"""From an `itemIdentifier` to a record's id; None if it is not of the form that names one."""


def by_text(identifier: object) -> str | None:
    """The id itself: queues, Kinesis, DynamoDB Streams."""
    return identifier if isinstance(identifier, str) and identifier else None


def by_offset(identifier: object) -> str | None:
    """`{"partition": "topic-0", "offset": 100}`, of exactly these types; a flat string names nothing.

    Source: AWS Lambda guide, "Configuring error handling controls for Kafka event sources".
    """
    match identifier:
        case {"partition": str(partition), "offset": int(offset)} if not isinstance(offset, bool):
            return offset_id(partition, offset)
        case _:
            return None


_FORMS: Mapping[Naming, str] = {by_text: "a text", by_offset: 'like {"partition": "orders-0", "offset": 15}'}


def offset_id(partition: str, offset: int) -> str:
    """The id of a topic's record; `partition` as in the event, `topic-0`."""
    return f"{partition}@{offset}"


def failed_ids(
    payload: bytes, delivered: Collection[str], naming: Naming = by_text
) -> frozenset[str] | Unreadable:
    """The identifiers reported in `payload`, the empty set for full success.

    `delivered` holds the ids of the batch; naming any other makes the answer unreadable, as do a missing, null or
    empty identifier, one of another form than `naming` knows, and a body that is not JSON. Zero bytes count as
    null.
    Source: AWS Lambda guide, "Reporting batch item failures for Lambda functions" (SQS, Kinesis, DynamoDB), and
    for Kafka "Configuring error handling controls for Kafka event sources".
    """
    if not payload:
        return frozenset()
    try:
        answer = json.loads(payload.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return Unreadable(f"the answer is not JSON, so {WHOLE_BATCH}")
    items = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if items is None:
        return frozenset()
    if not isinstance(items, list):
        return Unreadable(f"batchItemFailures is not a list, so {WHOLE_BATCH}")
    return _identifiers(items, delivered, naming)


def _identifiers(items: list[object], delivered: Collection[str], naming: Naming) -> frozenset[str] | Unreadable:
    failed = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, dict) else None
        id_ = naming(identifier)
        if id_ is None:
            return Unreadable(
                f"batchItemFailures holds {_shown(item)} without a valid itemIdentifier, "
                f"which is {_FORMS[naming]}, so {WHOLE_BATCH}"
            )
        if id_ not in delivered:
            return Unreadable(f"itemIdentifier {_shown(identifier)} is not in the batch, so {WHOLE_BATCH}")
        failed.add(id_)
    return frozenset(failed)


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _shown(value: object) -> str:
    """A value as an operator may see it: short, never a payload."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
