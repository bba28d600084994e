"""The function of the demonstration: works off what it can, and reports the rest as partial failures.

One function for queues, stream and table: the records of an event are always of one source.
"""

import time
from typing import Any

from esm.demo.journal import note, noted
from esm.demo.records import item_identifier, message_in
from esm.demo.workload import Nature

_WORK = 0.01
"""Seconds a message takes."""


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answers as AWS's pages on partial batch responses ask: with what names the records that failed."""
    records = event["Records"]
    failed = _from_queue(records) if records[0]["eventSource"] == "aws:sqs" else _from_stream(records)
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


def _from_queue(records: list[dict[str, Any]]) -> list[str]:
    """In a message group it stops at the first failure, because what follows must not overtake it.

    It does not have to report those: `fifo_failure: group` leaves them to the queue.
    """
    failed: list[str] = []
    stopped: set[str] = set()
    for record in records:
        message = message_in(record)
        if message["group"] in stopped:
            continue
        if not _work(message, again=int(record["attributes"]["ApproximateReceiveCount"]) > 1):
            failed.append(item_identifier(record))
            stopped.update({message["group"]} - {None})
    return failed


def _from_stream(records: list[dict[str, Any]]) -> list[str]:
    """It stops at the first failure, because the batch comes again from there.

    A stream does not count deliveries, so the function looks up whether it has seen a message before.
    """
    for record in records:
        message = message_in(record)
        again = message["nature"] == Nature.FLAKY and noted(message["id"])
        if not _work(message, again=again):
            return [item_identifier(record)]
    return []


def _work(message: dict[str, Any], *, again: bool) -> bool:
    time.sleep(_WORK)
    done = message["nature"] == Nature.GOOD or (message["nature"] == Nature.FLAKY and again)
    note(message["id"], done=done)
    return done
