"""What a Lambda event of Kafka has to look like: records by topic and partition, each with all its fields."""

from __future__ import annotations

import contextlib

import msgspec
from msgspec import Raw, Struct

from benchmarks.arrivals import BODY, Seen


class KafkaRecord(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: str
    key: bytes
    value: bytes
    headers: list[dict[str, list[int]]]

    @property
    def event_source_arn(self) -> str:
        """Whose it is: events of brokers without AWS have no ARN."""
        return self.topic

    def seen(self) -> Seen | None:
        """None if its times are of a kind that Kafka does not know."""
        if self.timestamp_type not in {"CREATE_TIME", "LOG_APPEND_TIME"}:
            return None
        said = BODY.decode(self.value)
        name = f"{self.topic}-{self.partition}-{self.offset}"
        return Seen(name, self.key.decode(), said.n, said.sent)


class KafkaEvent(Struct, rename="camel", forbid_unknown_fields=True):
    event_source: str
    bootstrap_servers: str
    records: dict[str, list[KafkaRecord]]


class Doubtful(Struct):
    """An event of which something is wrong."""

    records: dict[str, list[Raw]]


EVENT, DOUBTFUL = msgspec.json.Decoder(KafkaEvent), msgspec.json.Decoder(Doubtful)
RECORD = msgspec.json.Decoder(KafkaRecord)


def good_kafka_ones(event: bytes) -> tuple[list[KafkaRecord], int]:
    """Its records, and how many are left out because something is missing, too much, or of another type."""
    try:
        return [record for records in EVENT.decode(event).records.values() for record in records], 0
    except msgspec.ValidationError:
        raw = [each for records in DOUBTFUL.decode(event).records.values() for each in records]
    good = []
    for each in raw:
        with contextlib.suppress(msgspec.ValidationError):
            good.append(RECORD.decode(each))
    return good, len(raw) - len(good)
