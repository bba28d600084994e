"""The loop over a topic that most people would write: the standard library's base64 and json."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from confluent_kafka import TIMESTAMP_CREATE_TIME

from benchmarks.floors.kafka_loop import run


def text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def record(message: Any) -> dict[str, Any]:
    kind, stamp = message.timestamp()
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": stamp,
        "timestampType": "CREATE_TIME" if kind == TIMESTAMP_CREATE_TIME else "LOG_APPEND_TIME",
        "key": text(message.key()),
        "value": text(message.value()),
        "headers": [{name: list(said)} for name, said in message.headers() or ()],
    }


def event(messages: Sequence[Any], _: str, bootstrap: str) -> bytes:
    records = defaultdict(list)
    for message in messages:
        records[f"{message.topic()}-{message.partition()}"].append(record(message))
    return json.dumps(
        {"eventSource": "SelfManagedKafka", "bootstrapServers": bootstrap, "records": records}
    ).encode()


if __name__ == "__main__":
    run(event)
