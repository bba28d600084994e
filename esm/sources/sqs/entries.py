"""SQS's batch calls: up to ten entries each, answered entry by entry.

A call may fail as a whole, or for some entries while others succeed. Either way every entry ends in one of three
ways: it succeeded, it failed for good, or it is worth another try. An entry that the answer does not mention
was perhaps not done: it is tried again, which does no harm, since all these calls may be repeated.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from esm.clients.aws_calls import Call
from esm.clients.aws_errors import short_code, translated
from esm.errors import Disconnected
from esm.model import Record
from esm.sources.sqs.queue import PAGE

_CALL_SECONDS = 10.0
_IDS = tuple(str(number) for number in range(PAGE))
_NOTHING: Mapping[str, Any] = {}


class BatchAnswer(Struct, frozen=True):
    """How the entries of one call ended; `problem` is why the call as a whole failed."""

    refused: tuple[Record, ...] = ()
    again: tuple[Record, ...] = ()
    problem: Disconnected | None = None


class Batch:
    """A batch operation on the messages of one queue, such as `DeleteMessageBatch`."""

    def __init__(self, call: Call, operation: str, url: str) -> None:
        self._call = call
        self._operation = operation
        self._url = url

    async def ask(self, records: Sequence[Record], extra: Mapping[str, Any] = _NOTHING) -> BatchAnswer:
        """One call for at most ten records; `extra` goes into each entry. Takes at most 10 s, never raises."""
        entries = [
            {"Id": id_, "ReceiptHandle": record.handle, **extra}
            for id_, record in zip(_IDS, records, strict=False)
        ]
        try:
            with translated("SQS"):
                async with asyncio.timeout(_CALL_SECONDS):
                    response = await self._call(self._operation, {"QueueUrl": self._url, "Entries": entries})
                return _sorted_out(response, records)
        except Disconnected as problem:
            if problem.lasting and problem.code != "ExpiredToken":  # a token is renewed within the next tries
                return BatchAnswer(refused=tuple(records), problem=problem)
            return BatchAnswer(again=tuple(records), problem=problem)


def _sorted_out(response: Mapping[str, Any], records: Sequence[Record]) -> BatchAnswer:
    succeeded = {entry["Id"] for entry in response.get("Successful") or ()}
    refused = {entry["Id"] for entry in response.get("Failed") or () if not _passing(entry)}
    if not refused and succeeded.issuperset(_IDS[: len(records)]):  # as nearly always
        return BatchAnswer()
    by_id = list(zip(_IDS, records, strict=False))
    return BatchAnswer(
        refused=tuple(record for id_, record in by_id if id_ in refused),
        again=tuple(record for id_, record in by_id if id_ not in refused and id_ not in succeeded),
    )


def _passing(failed: Mapping[str, Any]) -> bool:
    """The service's own fault, or too much at once; anything else will be refused again."""
    code, _ = short_code(str(failed.get("Code", "")))
    return code in {"Throttling", "ServiceError"} or not failed.get("SenderFault", True)
