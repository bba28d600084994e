"""A function that claims success for a message it never worked off."""

import json
from typing import Any

from esm.demo import handler

FORGOTTEN = "order-7"


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    kept = [record for record in event["Records"] if json.loads(record["body"])["id"] != FORGOTTEN]
    return handler.handle({"Records": kept}, context)
