"""SQS's batch calls: up to ten entries each, answered entry by entry.

A call may fail as a whole, or for some entries while others succeed. Either way every entry ends in one of three
ways: it succeeded, it failed for good, or it is worth another try. An entry that the answer does not mention
was perhaps not done: it is tried again, which does no harm, since all these calls may be repeated.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from esm.clients.aws_errors import short_code, translated
from esm.errors import Disconnected
from esm.model import Record

_CALL_SECONDS = 10.0


class BatchAnswer(Struct, frozen=True):
    """How the entries of one call ended; `problem` is why the call as a whole failed."""

    refused: tuple[Record, ...] = ()
    again: tuple[Record, ...] = ()
    problem: Disconnected | None = None


async def ask(call: Any, url: str, records: Sequence[Record], extra: Mapping[str, Any]) -> BatchAnswer:
    """One batch call for at most ten records; `extra` goes into each entry. Takes at most 10 s, never raises."""
    entries = [
        {"Id": str(number), "ReceiptHandle": record.handle, **extra} for number, record in enumerate(records)
    ]
    try:
        with translated("SQS"):
            async with asyncio.timeout(_CALL_SECONDS):
                response = await call(QueueUrl=url, Entries=entries)
            return _sorted_out(response, records)
    except Disconnected as problem:
        if problem.lasting and problem.code != "ExpiredToken":  # a token is renewed within the next tries
            return BatchAnswer(refused=tuple(records), problem=problem)
        return BatchAnswer(again=tuple(records), problem=problem)


def _sorted_out(response: Mapping[str, Any], records: Sequence[Record]) -> BatchAnswer:
    succeeded = {entry["Id"] for entry in response.get("Successful") or ()}
    refused = {entry["Id"] for entry in response.get("Failed") or () if not _passing(entry)}
    by_id = [(str(number), record) for number, record in enumerate(records)]
    return BatchAnswer(
        refused=tuple(record for id_, record in by_id if id_ in refused),
        again=tuple(record for id_, record in by_id if id_ not in refused and id_ not in succeeded),
    )


def _passing(failed: Mapping[str, Any]) -> bool:
    """The service's own fault, or too much at once; anything else will be refused again."""
    code, _ = short_code(str(failed.get("Code", "")))
    return code in {"Throttling", "ServiceError"} or not failed.get("SenderFault", True)
