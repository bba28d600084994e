"""The function of the demonstration: works off what it can, and reports the rest as partial failures.

One function for queues, stream, table and topic: the records of an event are always of one source.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from esm.demo.journal import note, noted
from esm.demo.records import item_identifier, message_in, records_of, source_of
from esm.demo.workload import Nature

_WORK = 0.01
"""Seconds a message takes."""


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answers as AWS's pages on partial batch responses ask: with what names the records that failed."""
    records = records_of(event)
    match source_of(records[0]):
        case "aws:sqs":
            failed = _from_queue(records)
        case "kafka":
            failed = _from_topic(records)
        case _:
            failed = _from_stream(records)
    return {"batchItemFailures": [{"itemIdentifier": item_identifier(record)} for record in failed]}


def _from_queue(records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """In a message group it stops at the first failure, because what follows must not overtake it.

    It does not have to report those: `fifo_failure: group` leaves them to the queue.
    """
    failed: list[Mapping[str, Any]] = []
    stopped: set[str] = set()
    for record in records:
        message = message_in(record)
        if message["group"] in stopped:
            continue
        if not _work(message, again=int(record["attributes"]["ApproximateReceiveCount"]) > 1):
            failed.append(record)
            stopped.update({message["group"]} - {None})
    return failed


def _from_topic(records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Only what it lists comes again: behind a failure it lists all that has the same key, and leaves it alone."""
    failed: list[Mapping[str, Any]] = []
    stopped: set[str] = set()
    for record in records:
        message = message_in(record)
        if message["group"] in stopped or not _work(message, again=_seen(message)):
            failed.append(record)
            stopped.add(message["group"])
    return failed


def _from_stream(records: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """It stops at the first failure, because the batch comes again from there.

    A stream does not count deliveries, so the function looks up whether it has seen a message before.
    """
    for record in records:
        message = message_in(record)
        if not _work(message, again=_seen(message)):
            return [record]
    return []


def _seen(message: Mapping[str, Any]) -> bool:
    """Looked up only where it matters."""
    return message["nature"] == Nature.FLAKY and noted(message["id"])


def _work(message: Mapping[str, Any], *, again: bool) -> bool:
    time.sleep(_WORK)
    done = message["nature"] == Nature.GOOD or (message["nature"] == Nature.FLAKY and again)
    note(message["id"], done=done)
    return done
