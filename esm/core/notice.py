"""What is said of records that were given up: AWS's invocation record, member for member and in its order.

Source: AWS Lambda guide, "Retain records of failed invocations" for Kinesis and DynamoDB Streams, and what AWS
was seen to send. Our own extension stands in one member behind AWS's, never among them (docs/decisions: 27).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from esm.core.notice_times import with_milliseconds
from esm.model import Drop, Errored, Lane, Notice, Outcome, Record, Refused, Reply, Returned
from esm.ports import LogCodec

AGED = "RecordAgeExceeded"
EXHAUSTED = "RetryAttemptsExhausted"
TOO_LARGE = "MaximumPayloadSizeExceeded"
EXTENSION = "esm"
"""The member of a document that is ours."""

_LATEST = "$LATEST"
_LONGEST_TEXT = 1_000
_THROWN = re.compile(r"(?P<type>[A-Za-z_][\w.$]*): (?P<text>.*)", re.DOTALL)


class Subject(Struct, frozen=True):
    """Whose records they were.

    `scope` is the mapping's id, `mapping` its name. `function` stands for AWS's `functionArn`: the target's ARN,
    and for a target without one what the configuration calls it. `annotate` adds our extension.
    """

    scope: str
    mapping: str
    function: str
    annotate: bool = False


def notice(drop: Drop, lane: Lane, codec: LogCodec, subject: Subject, *, at: float, spare_id: str) -> Notice:
    """`at` in epoch seconds. `spare_id` is the request id where the target gave none, or was never asked."""
    document = invocation_record(drop, codec.describe(lane, drop.records), subject.function, at, spare_id)
    if subject.annotate:
        document[EXTENSION] = _extension(drop, subject)
    return Notice(document, codec.render(drop.records), at, subject.scope, lane.name)


def invocation_record(
    drop: Drop, described: Mapping[str, Any], function: str, at: float, spare_id: str
) -> dict[str, Any]:
    """AWS's document without payload; `described` is the source's own part."""
    meta = drop.reply.meta if drop.reply is not None else {}
    return {
        "requestContext": {
            "requestId": meta.get("request_id", spare_id),
            "functionArn": function,
            "condition": drop.condition,
            "approximateInvokeCount": max(1, drop.attempts),  # AWS says 1 also of what was never delivered
        },
        **_response_context(drop, meta),
        "version": "1.0",
        "timestamp": with_milliseconds(at),
        **described,
    }


def without_records(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with its records only counted, for a destination that cannot take all of it."""
    ours = document.get(EXTENSION)
    if ours is None or "records" not in ours:
        return document
    rest = {name: value for name, value in ours.items() if name != "records"}
    return {**document, EXTENSION: {**rest, "recordsLeftOut": len(ours["records"])}}


def with_payload(notice: Notice) -> Mapping[str, Any]:
    """The document as AWS stores it in S3: the whole event as text within it, before our extension."""
    aws = {name: value for name, value in notice.document.items() if name != EXTENSION}
    ours = {EXTENSION: notice.document[EXTENSION]} if EXTENSION in notice.document else {}
    return {**aws, "payload": notice.event.decode(), **ours}


def text_of(document: Mapping[str, Any]) -> str:
    """The JSON of a document, in ASCII: some services refuse characters that JSON allows."""
    return json.dumps(document, separators=(",", ":"))


def _response_context(drop: Drop, meta: Mapping[str, str]) -> dict[str, Any]:
    if drop.condition == AGED:
        return {}
    if drop.condition == TOO_LARGE:
        return {"responseContext": None}
    status = meta.get("status_code", "")
    context = {
        "statusCode": int(status) if status.isdecimal() else 200,
        "executedVersion": meta.get("executed_version", _LATEST),
        "functionError": _function_error(drop.reply, meta),
    }
    return {"responseContext": context}


def _function_error(reply: Reply | None, meta: Mapping[str, str]) -> str | None:
    """Null if the function answered and named items that failed. No reply: a crash cut off the last attempt."""
    return None if isinstance(reply, Returned) else meta.get("function_error", "Unhandled")


def _extension(drop: Drop, subject: Subject) -> dict[str, Any]:
    return {
        "mapping": subject.mapping,
        "attempts": drop.attempts,
        "error": _error(drop.reply),
        "records": [_original(record) for record in drop.records],
    }


def _error(reply: Reply | None) -> dict[str, Any] | None:
    """What went wrong last: our word for it, and the error's class and text if the function told."""
    match reply:
        case None:
            return None
        case Returned(payload=payload):
            return {"outcome": Outcome.PARTIAL.value, "text": payload[:_LONGEST_TEXT].decode(errors="replace")}
        case Errored() | Refused():
            return {"outcome": reply.outcome.value, **_thrown(reply)}


def _thrown(reply: Errored | Refused) -> dict[str, str]:
    """Class and text apart, where the function's own error was reported as `ValueError: …`."""
    thrown = _THROWN.fullmatch(reply.message) if reply.outcome is Outcome.FUNCTION_ERROR else None
    said = thrown.groupdict() if thrown else {"text": reply.message}
    return said | ({"type": reply.meta["error_type"]} if "error_type" in reply.meta else {})


def _original(record: Record) -> Any:
    """A record as the function saw it."""
    return json.loads(record.event)
