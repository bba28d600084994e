"""The function of the demonstration: works off what it can, and reports the rest as partial failures."""

import json
import time
from typing import Any

from esm.demo.journal import note
from esm.demo.workload import Nature

_WORK = 0.01
"""Seconds a message takes."""


def handle(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answers as AWS's page "Handling errors for an SQS event source" asks: failed messages by their ids.

    In a message group it stops at the first failure, because what follows must not overtake it. It does not
    have to report those: `fifo_failure: group` leaves them to the queue.
    """
    failed: list[str] = []
    stopped: set[str] = set()
    for record in event["Records"]:
        message = json.loads(record["body"])
        if message["group"] in stopped:
            continue
        done = _work(message["nature"], int(record["attributes"]["ApproximateReceiveCount"]))
        note(message["id"], done=done)
        if not done:
            failed.append(record["messageId"])
            stopped.update({message["group"]} - {None})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _work(nature: str, receives: int) -> bool:
    time.sleep(_WORK)
    return nature == Nature.GOOD or (nature == Nature.FLAKY and receives > 1)
