"""The shards of one stream, or of all streams that a table has had lately, as lanes of one log. Pure.

A table's stream that is switched off and on again is a new stream; the old one stays readable for a day
(docs/decisions/0029). What happened to an item under the old one came first, so the first shards of a stream have
the last ones of the stream before it as parents. Names of shards are unique in their stream only: that of a lane
has the stream's label in front.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from esm.model import Lane

_STREAM = "/stream/"


class Shard(Struct, frozen=True):
    """One shard as DescribeStream tells of it. `first`: the sequence number it starts with, "" if untold."""

    id: str
    parent: str | None = None
    first: str = ""
    closed: bool = False


class Stream(Struct, frozen=True):
    """One stream and its shards, those with records that are still kept. `on`: it takes new ones."""

    arn: str
    shards: tuple[Shard, ...] = ()
    on: bool = False


def label_of(arn: str) -> str:
    """The stream's label, a time in ISO 8601: of two streams of a table, the later one's is greater."""
    return arn.partition(_STREAM)[2]


def table_of(arn: str) -> str:
    """The name of the stream's table."""
    return arn.partition(_STREAM)[0].rpartition("/")[2]


def stream_of(lane: str, sibling: str) -> str:
    """The ARN of a lane's stream; `sibling` is another stream of the table."""
    return f"{sibling.partition(_STREAM)[0]}{_STREAM}{lane.rpartition('/')[0]}"


def lane_name(arn: str, shard: str) -> str:
    """The lane of a shard."""
    return f"{label_of(arn)}/{shard}"


def shard_of(lane: str) -> str:
    """The shard of a lane."""
    return lane.rpartition("/")[2]


def is_of(lane: str, arn: str) -> bool:
    """Whether a lane is one of a stream's."""
    return lane.rpartition("/")[0] == label_of(arn)


def lanes_of(streams: Sequence[Stream], gone: Sequence[Stream] = ()) -> tuple[Lane, ...]:
    """All lanes, with their parents; `streams` are of one table, in any order.

    What is gone is named as a parent, because it may still be worked off here: shards, and `gone` streams.
    """
    lanes: list[Lane] = []
    before: tuple[str, ...] = ()
    for stream in sorted([*streams, *gone], key=lambda stream: label_of(stream.arn)):
        if stream in gone:
            before += tuple(lane_name(stream.arn, shard.id) for shard in stream.shards)
        else:
            whole = _complete(stream)
            lanes += _lanes(whole, before)
            before = _last_of(whole) or before
    return tuple(lanes)


def children_of(arn: str, shard: str, shards: Iterable[Shard]) -> tuple[Lane, ...]:
    """The lanes that go on where a shard has ended."""
    return tuple(
        Lane(lane_name(arn, each.id), (lane_name(arn, shard),)) for each in shards if each.parent == shard
    )


def _complete(stream: Stream) -> Stream:
    """Without the shards whose ancestors may be missing in the listing, which is not always consistent.

    A closed shard of a stream that is on has children. Where none is listed, a later shard whose parent is not
    listed either may come from it, and reading that one first would break the order; nor may what comes from that
    one be read. A shard whose parent was trimmed is older than that.
    """
    own = {None, *(shard.id for shard in stream.shards)}
    parents = {shard.parent for shard in stream.shards}
    cut = [_number(shard) for shard in stream.shards if stream.on and shard.closed and shard.id not in parents]
    doubtful = {each.id for each in stream.shards if cut and each.parent not in own and _number(each) >= min(cut)}
    while later := {each.id for each in stream.shards if each.parent in doubtful} - doubtful:
        doubtful |= later
    return Stream(stream.arn, tuple(each for each in stream.shards if each.id not in doubtful), stream.on)


def _number(shard: Shard) -> int:
    return int(shard.first or 0)


def _lanes(stream: Stream, before: tuple[str, ...]) -> Iterator[Lane]:
    """A shard whose parent is gone with all it held is a first one too."""
    own = {each.id for each in stream.shards}
    for shard in stream.shards:
        parents = (lane_name(stream.arn, shard.parent),) if shard.parent else ()
        yield Lane(lane_name(stream.arn, shard.id), parents if shard.parent in own else (*parents, *before))


def _last_of(stream: Stream) -> tuple[str, ...]:
    parents = {shard.parent for shard in stream.shards}
    return tuple(lane_name(stream.arn, shard.id) for shard in stream.shards if shard.id not in parents)
