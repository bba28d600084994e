"""What a topic is written of records that were given up: a message for each of them, with the key that it had.

AWS's document for a topic ("Capturing discarded batches for a Kafka event source mapping" in its Lambda Developer
Guide) is about one record, which it holds as a real object in `payload`. Headers, the record's own and those that
say what went wrong, are our addition: AWS tells of none.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from esm.clients.kafka.producing import Outgoing
from esm.core.notice import EXHAUSTED, EXTENSION, text_of, without_records
from esm.core.notice_times import with_milliseconds
from esm.errors import Undeliverable
from esm.model import Notice

Form = Literal["document", "record"]
Headers = list[tuple[str, bytes | None]]

_INFO = "KafkaBatchInfo"
_CONDITIONS = {EXHAUSTED: "RetriesExhausted"}
"""AWS has another word for it in a topic than in a queue."""

_ENVELOPE = 256
"""More than a message takes besides its key, value and headers."""


def messages_of(notice: Notice, form: Form, limit: int) -> Sequence[Outgoing]:
    """One for each record of a topic, one in all for records of another source.

    Each has at most `limit` bytes: what does not fit goes without the record's data, then without its own headers.
    Raises `Undeliverable` if that is not enough.
    """
    if _INFO not in notice.document:
        return [_fitting(_of_another(notice), limit)]
    event = json.loads(notice.event)
    return [
        _fitting(_of_a_record(notice, event, lane, record, form), limit)
        for lane, records in event["records"].items()
        for record in records
    ]


def _of_another(notice: Notice) -> Iterator[Outgoing]:
    headers = _told(notice.document)
    for document in (notice.document, without_records(notice.document)):
        yield Outgoing(text_of(document).encode(), None, headers)


def _of_a_record(
    notice: Notice, event: Mapping[str, Any], lane: str, record: Mapping[str, Any], form: Form
) -> Iterator[Outgoing]:
    """From the best to the least."""
    key = b64decode(record["key"]) if "key" in record else None
    document = _document(notice, record, {**event, "records": {lane: [record]}})
    bare = {name: value for name, value in document.items() if name != "payload"}
    own, told = _own(record["headers"]), [*_told(document), *_place(record)]
    if form == "record":
        value = None if record["value"] is None else b64decode(record["value"])
        yield Outgoing(value, key, [*own, *told, ("esm.document", text_of(bare).encode())])
    else:
        yield Outgoing(text_of(document).encode(), key, [*own, *told])
    yield Outgoing(text_of(bare).encode(), key, [*own, *told])
    yield Outgoing(text_of(bare).encode(), key, told)


def _document(notice: Notice, record: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """AWS's, with ours behind it as everywhere; the original record stands in the payload already."""
    request = dict(notice.document["requestContext"])
    request["condition"] = _CONDITIONS.get(request["condition"], request["condition"])
    given = notice.document[_INFO]
    info = {
        "batchSize": 1,
        **{name: given[name] for name in ("eventSourceArn", "bootstrapServers") if name in given},
    }
    info["payloadSize"] = len(text_of(payload))
    info["recordInfo"] = {"offset": str(record["offset"]), "timestamp": _time(record["timestamp"], notice.at)}
    document = {**notice.document, "requestContext": request, _INFO: info}
    ours = document.pop(EXTENSION, None)
    document["payload"] = payload
    if ours is not None:
        document[EXTENSION] = {name: value for name, value in ours.items() if name != "records"}
    return document


def _told(document: Mapping[str, Any]) -> Headers:
    """What went wrong, for whoever does not read documents; the error only where notices are annotated."""
    request, ours = document["requestContext"], document.get(EXTENSION) or {}
    error = ours.get("error") or {}
    said = {
        "condition": request["condition"],
        "function": request["functionArn"],
        "attempts": request["approximateInvokeCount"],
        "mapping": ours.get("mapping"),
        "outcome": error.get("outcome"),
        "error-type": error.get("type"),
        "error": error.get("text"),
    }
    return [_header(name, value) for name, value in said.items() if value is not None]


def _place(record: Mapping[str, Any]) -> Headers:
    return [_header(name, record[name]) for name in ("topic", "partition", "offset", "timestamp")]


def _header(name: str, value: object) -> tuple[str, bytes]:
    return f"esm.{name}", str(value).encode(errors="replace")


def _own(headers: Sequence[Mapping[str, Sequence[int] | None]]) -> Headers:
    """From Java's signed bytes."""
    return [
        (name, None if value is None else bytes(byte & 0xFF for byte in value))
        for header in headers
        for name, value in header.items()
    ]


def _time(milliseconds: int, otherwise: float) -> str:
    """A record without a timestamp has a negative one."""
    return with_milliseconds(milliseconds / 1000 if milliseconds >= 0 else otherwise)


def _fitting(candidates: Iterator[Outgoing], limit: int) -> Outgoing:
    size = 0
    for message in candidates:
        size = size_of(message)
        if size <= limit:
            return message
    raise Undeliverable(
        f"the message has {size} bytes at least and {limit} are taken: raise max_bytes, or the topic's own"
    )


def size_of(message: Outgoing) -> int:
    """Bytes that a broker counts, or a few more."""
    headers = sum(len(name.encode()) + len(value or b"") + 10 for name, value in message.headers)
    return _ENVELOPE + len(message.key or b"") + len(message.value or b"") + headers
