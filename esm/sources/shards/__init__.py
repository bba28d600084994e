"""What Kinesis and DynamoDB Streams have in common: shards with iterators, quotas, and lineage.

A source says how one shard is asked (`Shard`); reading it in order, reopening iterators, keeping to the quota and
watching for new shards are done here.
"""

from esm.sources.shards.event import mended
from esm.sources.shards.listing import Listing
from esm.sources.shards.pacer import Pacer, pacer_of
from esm.sources.shards.reader import ShardReader
from esm.sources.shards.service import EXPIRED, THROTTLED, TRIMMED, Fetched, Shard, numbers_of

__all__ = [
    "EXPIRED",
    "THROTTLED",
    "TRIMMED",
    "Fetched",
    "Listing",
    "Pacer",
    "Shard",
    "ShardReader",
    "mended",
    "numbers_of",
    "pacer_of",
]
