"""What an on-failure destination was told: AWS's documents, which name records by where they stand.

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct


class Place(Struct, frozen=True):
    """Where a record stands in a stream."""

    shard: str
    number: int


def given_up(documents: Iterable[Mapping[str, Any]], places: Mapping[Place, str]) -> set[str]:
    """The ids of the records in the documents; a range that does not hold as many as it says stands for itself."""
    ids: set[str] = set()
    for document in documents:
        info, shard, first, last = _range(document)
        found = {
            id_
            for place, id_ in places.items()
            if place.shard == shard and int(first) <= place.number <= int(last)
        }
        ids |= found if len(found) == info["batchSize"] else {f"{shard}:{first}-{last}"}
    return ids


def _range(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, str, str]:
    """What a document says of its records, with the shard or partition, and the first and last of them."""
    if "KafkaBatchInfo" in document:
        info = document["KafkaBatchInfo"]
        ((lane, records),) = info["recordsInfo"].items()
        return info, lane, records["firstRecordOffset"], records["lastRecordOffset"]
    info = document.get("KinesisBatchInfo") or document["DDBStreamBatchInfo"]
    return info, info["shardId"], info["startSequenceNumber"], info["endSequenceNumber"]
