"""One partition that is read: filled by the thread of the consumer, emptied by the lane in the event loop.

What is queued is counted by both sides without a lock: one only adds to what came, the other to what was taken.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from esm.errors import Awaited, Disconnected, LostLease
from esm.model import LogPage, Record, Rejected
from esm.world import World


class Parcel(Struct, frozen=True):
    """What one poll brought of a partition, `size` bytes of events. `upto` and `lost` as in a page.

    `end` is the offset that the next record gets, as far as the client knows.
    """

    records: list[Record] = []
    rejected: list[Rejected] = []
    size: int = 0
    upto: int | None = None
    lost: int | None = 0
    end: int | None = None
    at_end: bool = False

    def __len__(self) -> int:
        return len(self.records) + len(self.rejected)


class Feed:
    """A `LogReader`. `taken` is called after each take, in the event loop, so that more can be fetched."""

    def __init__(self, lane: str, world: World, taken: Callable[[], None]) -> None:
        self.lane = lane
        self.came = 0
        self.went = 0
        self._world = world
        self._taken = taken
        self._parcels: deque[Parcel] = deque()
        self._bell = asyncio.Event()
        self._over = False
        self._trouble: Callable[[], Disconnected | None] = _none
        self._opened = world.wall()
        self._newest: float | None = None
        self._at_end = False
        self._end: int | None = None

    @property
    def queued(self) -> int:
        """Bytes of events that wait; from either side."""
        return self.came - self.went

    def blame(self, trouble: Callable[[], Disconnected | None]) -> None:
        """Where to ask why nothing comes."""
        self._trouble = trouble

    def put(self, parcel: Parcel) -> None:
        """In the event loop."""
        self._parcels.append(parcel)
        self._bell.set()

    def end(self) -> None:
        """The partition is not ours any more: whoever reads is told so."""
        self._over = True
        self._bell.set()

    async def read(self, limit: int, wait: float) -> LogPage:
        """Raises `Disconnected` if nothing can be had, `LostLease` once the partition is not ours any more."""
        if not self._parcels and not self._over:
            await self._heard(wait)
        if self._over:
            raise LostLease(f"{self.lane} is not ours any more")
        if not self._parcels and (trouble := self._trouble()) is not None:
            raise Awaited(trouble.code, trouble.reason, lasting=trouble.lasting)
        return self._page(limit)

    async def _heard(self, wait: float) -> None:
        self._bell.clear()
        try:
            async with asyncio.timeout(wait):
                await self._bell.wait()
        except TimeoutError:
            return

    def _page(self, limit: int) -> LogPage:
        records: list[Record] = []
        rejected: list[Rejected] = []
        upto, lost, size = None, 0, 0
        unknown = False
        while self._parcels and len(records) + len(rejected) < limit:
            parcel = self._next(limit - len(records) - len(rejected))
            records += parcel.records
            rejected += parcel.rejected
            size += parcel.size
            upto = parcel.upto if parcel.upto is not None else upto
            lost += parcel.lost or 0
            unknown |= parcel.lost is None
            self._at_end = parcel.at_end
            self._end = parcel.end if parcel.end is not None else self._end
        self._took(records, size)
        return LogPage(
            tuple(records),
            tuple(rejected),
            upto,
            behind=self._behind(),
            lost=None if unknown else lost,
            end=self._end,
        )

    def _next(self, room: int) -> Parcel:
        """The next parcel, or as much of it as there is room for; one with something rejected is not divided."""
        parcel = self._parcels.popleft()
        if len(parcel) <= room or parcel.rejected:
            return parcel
        head, rest = parcel.records[:room], parcel.records[room:]
        size = sum([len(record.event) for record in head])
        self._parcels.appendleft(Parcel(rest, [], parcel.size - size, parcel.upto, 0, parcel.end, parcel.at_end))
        return Parcel(head, [], size, None, parcel.lost, parcel.end)

    def _took(self, records: list[Record], size: int) -> None:
        if records:
            self._newest = records[-1].arrived
        if size:
            self.went += size
            self._taken()

    def _behind(self) -> float:
        """Seconds since what was read last was written, 0 at the end; while nothing came, since we wait for it."""
        if self._at_end and not self._parcels:
            return 0.0
        since = self._opened if self._newest is None else self._newest
        return max(0.001, self._world.wall() - since)


def _none() -> None:
    return None
