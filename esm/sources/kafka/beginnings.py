"""Where the partitions that are ours go on, or begin: what the group has committed, and what follows from that.

Of what the group forgets with a topic that is deleted, the process remembers that it was there: then a partition
without a position is no first start, and begins at its oldest record.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from msgspec import Struct

from esm.clients.kafka.asking import OLDEST, Committed
from esm.sources.begin import Begin
from esm.sources.kafka.start import Origin, first_of, later, origin_of, read_origin, resolved


class Past(Struct):
    """What this process knows of earlier: when the mapping began, and which partitions had a position."""

    origin: Origin | None = None
    had: set[int] = set()
    has_remarked: bool = False


class Asking(Protocol):
    """The questions of a group; all raise `Disconnected`. See `Positions`."""

    group: str
    topic: str

    async def committed(self) -> Mapping[int, Committed]: ...
    async def partitions(self) -> int: ...
    async def offsets(self, wanted: Mapping[int, int], /) -> Mapping[int, int]: ...


class Beginnings:
    """`past` outlives it. `remark` says something to people; `wall` in epoch seconds."""

    def __init__(
        self, asking: Asking, begin: Begin, past: Past, *, remark: Callable[[str], None], wall: Callable[[], float]
    ) -> None:
        self._asking = asking
        self._begin = begin
        self._past = past
        self._remark = remark
        self._wall = wall
        self._displaced: dict[int, Committed] = {}

    @property
    def topic(self) -> str:
        """Its name."""
        return self._asking.topic

    def beside(self, text: str) -> str:
        """What is committed with an offset: `text`, and when the mapping began."""
        return text if self._past.origin is None else self._past.origin.beside(text)

    def displace(self, partition: int, offset: int) -> None:
        """It begins there, whatever the group has for it."""
        self._displaced[partition] = Committed(offset)

    def has_begun(self, partition: int) -> None:
        """Its position is committed."""
        self._displaced.pop(partition, None)
        self._past.had.add(partition)

    async def find(self, partitions: Collection[int]) -> tuple[Mapping[int, Committed], Collection[int]]:
        """By partition, where to go on; and those of them that were deleted and made again.

        Raises `Disconnected`.
        """
        committed = await self._asking.committed()
        if committed:
            self._past.origin = read_origin(each.metadata for each in committed.values())
            self._remark_foreign(committed.values())
        fresh = {number for number in partitions if number not in committed}
        anew = fresh & self._past.had
        first = await self._first(fresh - anew, anew, is_new=not committed and not self._past.had)
        begins = {number: Committed(offset) for number, offset in first.items()}
        return {**begins, **committed, **self._displaced}, anew

    async def _first(self, fresh: Collection[int], anew: Collection[int], *, is_new: bool) -> Mapping[int, int]:
        if not fresh and not anew:
            return {}
        if is_new and self._past.origin is None:
            self._past.origin = origin_of(self._begin, self._wall(), await self._asking.partitions())
            wanted = dict.fromkeys(fresh, first_of(self._begin))
        else:
            wanted = {number: later(number, self._past.origin) for number in fresh}
        return await resolved({**wanted, **dict.fromkeys(anew, OLDEST)}, self._asking.offsets)

    def _remark_foreign(self, committed: Collection[Committed]) -> None:
        """What the group has is where it goes on, as on AWS."""
        if not self._past.has_remarked and not any("esm" in each.metadata for each in committed):
            self._past.has_remarked = True
            self._remark(
                f"the group {self._asking.group} has positions of its own, which are not from here: "
                f"starting_position {self._begin.position} is ignored, as on AWS"
            )
