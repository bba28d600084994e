# ruff: noqa: INP001 - on Lambda, too, the code of a function is no package
"""A sample function as it is written for Lambda. Nothing in it knows what calls it."""

import logging
from typing import Any

log = logging.getLogger()
log.setLevel(logging.INFO)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The partial batch response. A body of `poison` fails; after three deliveries it is in the dead letters."""
    failed = [record["messageId"] for record in event["Records"] if record["body"] == "poison"]
    log.info("%s: %d messages, %d failed", context.function_name, len(event["Records"]), len(failed))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
