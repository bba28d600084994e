"""One stream: where it is, what it says of itself, which shards it has, and what time it is there."""

import math
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from esm.clients.aws_errors import translated
from esm.model import Lane
from esm.sources.kinesis.options import KinesisOptions

_PAGE = 1000


class Stream(Struct, frozen=True):
    """A stream's name and its ARN, which is the one in events."""

    name: str
    arn: str

    @property
    def address(self) -> Mapping[str, str]:
        """Both: only the ARN reaches another account's stream, and not every server knows ARNs."""
        return {"StreamName": self.name, "StreamARN": self.arn}

    @property
    def owner(self) -> str:
        """The ARN of the account that it belongs to."""
        _, partition, _, _, account, _ = self.arn.split(":", 5)
        return f"arn:{partition}:iam::{account}:root"


async def find(kinesis: Any, options: KinesisOptions) -> Stream:
    """Asks for the ARN if only the name is known. Raises `Disconnected`."""
    if options.arn:
        return Stream(options.name, options.arn)
    with translated("Kinesis"):
        answer = await kinesis.describe_stream_summary(StreamName=options.name)
        return Stream(options.name, str(answer["StreamDescriptionSummary"]["StreamARN"]))


async def status_of(kinesis: Any, stream: Stream) -> str:
    """CREATING, ACTIVE, UPDATING or DELETING. Raises `Disconnected`."""
    with translated("Kinesis"):
        answer = await kinesis.describe_stream_summary(**stream.address)
        return str(answer["StreamDescriptionSummary"]["StreamStatus"])


async def shards_of(kinesis: Any, stream: Stream) -> Sequence[Mapping[str, Any]]:
    """All shards whose records are kept, closed ones too, page by page. Raises `Disconnected`."""
    with translated("Kinesis"):
        answer = await kinesis.list_shards(**stream.address, MaxResults=_PAGE)
        shards = list(answer["Shards"])
        while token := answer.get("NextToken"):
            answer = await kinesis.list_shards(NextToken=token, MaxResults=_PAGE)
            shards += answer["Shards"]
        return shards


async def time_at(kinesis: Any, stream: Stream, ours: float) -> float:
    """The service's time, in whole epoch seconds that are over; by our clock (`ours`) where it does not tell.

    Raises `Disconnected`.
    """
    with translated("Kinesis"):
        answer = await kinesis.list_shards(**stream.address, MaxResults=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return float(math.floor(ours))


def lane_of(shard: Mapping[str, Any]) -> Lane:
    """A shard as ListShards tells of it; one that was merged has two parents."""
    parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    first = shard["SequenceNumberRange"]["StartingSequenceNumber"]
    return Lane(shard["ShardId"], tuple(filter(None, parents)), int(first) if first.isdecimal() else None)


def digits_of(shards: Sequence[Mapping[str, Any]]) -> int:
    """How many digits sequence numbers have: those of Kinesis never begin with a zero, some servers' do."""
    return max((len(shard["SequenceNumberRange"]["StartingSequenceNumber"]) for shard in shards), default=0)
