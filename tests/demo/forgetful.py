"""A function that claims success for messages it never worked off."""

from typing import Any

from esm.demo import handler
from esm.demo.records import message_in, records_of

FORGOTTEN = {"order-7", "click-7", "change-7", "parcel-7"}


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    kept = [record for record in records_of(event) if message_in(record)["id"] not in FORGOTTEN]
    return handler.handle({"Records": kept}, context) if kept else {}
