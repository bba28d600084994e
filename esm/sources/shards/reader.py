"""Reads one shard in order, for as long as it takes.

The position is ours, an iterator is only how the service remembers it for a few minutes: one that expired, as it
does while a lane is held up, is made anew from the last position, and nothing is lost. Neither is by a read that
fails or is cancelled, because nothing moves before a page is complete.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import dropwhile
from typing import Any

from esm.checkpoint import Position, Start
from esm.errors import Disconnected
from esm.model import Lane, LogPage
from esm.sources.shards.pacer import Pacer
from esm.sources.shards.service import EXPIRED, THROTTLED, TRIMMED, Fetched, Shard
from esm.world import World

_PATIENCE = {EXPIRED: 3, TRIMMED: 3, THROTTLED: 10, "ServiceError": 3}
"""How often in a row each may happen before it is a problem to tell: they pass by themselves."""

_JITTER = 0.2


class ShardReader:
    """A `LogReader`. `after` is where it begins, `on_end` is called when the shard has been read to its end."""

    def __init__(
        self, shard: Shard, after: Position | Start, pacer: Pacer, world: World, *, on_end: Callable[[], None]
    ) -> None:
        self._shard = shard
        self._place = after
        self._pacer = pacer
        self._world = world
        self._on_end = on_end
        self._iterator: str | None = None
        self._is_new = True
        self._is_at_end = False
        self._next_seq = 0
        self._began = 0.0
        self._idle_until = 0.0
        self._behind: float | None = None
        self._troubles = 0
        self._end: LogPage | None = None

    async def read(self, limit: int, wait: float) -> LogPage:
        """At least one call, which may have to wait for its turn; then more of them until `wait` is over."""
        until = self._world.monotonic() + wait
        while self._end is None:
            page = await self._turn(limit)
            if page != LogPage(behind=page.behind):
                return page
            left = until - self._world.monotonic()
            if left <= 0:
                return page
            if self._idle_until > until:
                await self._world.sleep(left)
                return page
        return self._end

    async def _turn(self, limit: int) -> LogPage:
        idle = self._idle_until - self._world.monotonic()
        if idle > 0:
            await self._world.sleep(idle)
        limit = min(limit, self._shard.page)
        try:
            fetched = await self._pacer.read(partial(self._fetch, limit))
        except Disconnected as problem:
            return self._after(problem)
        self._troubles = 0
        return self._page(fetched, limit)

    async def _fetch(self, limit: int) -> Fetched:
        if self._iterator is None:
            self._iterator = await self._shard.iterator(self._place)
            self._is_new = True
        self._began = self._world.monotonic()
        return await self._shard.fetch(self._iterator, limit)

    def _after(self, problem: Disconnected) -> LogPage:
        """What passes by itself is an empty page, until it does not pass. Raises `problem`."""
        if problem.code == TRIMMED and self._place != Start():
            self._place, self._iterator = Start(), None
            return LogPage(lost=None)
        self._troubles += 1
        is_over = self._troubles >= _PATIENCE.get(problem.code, 1)
        if is_over or problem.code in {EXPIRED, TRIMMED}:
            self._iterator = None
        if not is_over:
            return LogPage(behind=self._behind)
        self._troubles = 0
        raise problem

    def _page(self, fetched: Fetched, limit: int) -> LogPage:
        is_caught_up = _is_caught_up(fetched, limit)
        items, trimmed = self._unread(fetched.items)
        records, rejected = self._shard.encode(items, self._next_seq, self._world.monotonic())
        self._next_seq += len(items)
        upto = self._shard.position(items[-1]) if items else None
        if upto is not None:
            self._place = upto
        self._iterator = fetched.next
        self._behind = fetched.behind
        self._is_at_end = is_caught_up and not items
        self._idle_until = self._began + self._idle() if is_caught_up else 0.0
        ended = fetched.next is None
        if ended:
            self._finish(fetched.children)
        return LogPage(
            tuple(records), tuple(rejected), upto,
            ended=ended, children=fetched.children, behind=fetched.behind, lost=None if trimmed else 0,
        )  # fmt: skip

    def _unread(self, items: Sequence[Any]) -> tuple[Sequence[Any], bool]:
        """The items behind our position, and whether some before them seem to have been trimmed.

        They do if a new iterator goes on behind our position without the record at it. If the shard was silent for
        longer than its retention, that record is gone as well and nothing is missing: then there was nothing to
        read at first.
        """
        is_new, self._is_new = self._is_new, self._is_new and not items
        if not items or isinstance(self._place, Start):
            return items, False
        place, position = self._place, self._shard.position
        if position(items[0]) <= place:  # that one alone, unless the server does not keep to positions
            return list(dropwhile(lambda item: position(item) <= place, items)), False
        return items, is_new and self._shard.inclusive and not self._is_at_end

    def _idle(self) -> float:
        """A little more or less each time, or a thousand shards opened at once would be read at once for ever."""
        return self._shard.idle * (1 - _JITTER + 2 * _JITTER * self._world.chance())

    def _finish(self, children: tuple[Lane, ...] | None) -> None:
        self._end = LogPage(ended=True, children=children)
        self._on_end()


def _is_caught_up(fetched: Fetched, limit: int) -> bool:
    """Nothing more can be read at once. A full page is no end, whatever else the answer says."""
    if fetched.behind is None:
        return not fetched.items
    return fetched.behind == 0 and len(fetched.items) < limit
