"""A scripted shard on virtual time, and what the tests of reading shards share."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from esm.checkpoint import Position, Start
from esm.core.pacing import Quota
from esm.errors import Disconnected
from esm.model import Lane, LogPage, Record, Rejected
from esm.sources.shards import EXPIRED, Fetched, Pacer, ShardReader
from esm.world import World

QUOTA = Quota(5, 2_000_000)


def now() -> float:
    return asyncio.get_running_loop().time()


def a_world() -> World:
    return World(now, lambda: 1_000_000.0 + now(), asyncio.sleep, random.Random(1).random, lambda: "id")


@dataclass
class ScriptedShard:
    """Holds `positions`; `raises` are the errors of the next calls, of `iterator` and of `fetch` alike."""

    positions: list[int] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False
    children: tuple[Lane, ...] | None = None
    size: int = 0
    empty_pages: int = 0
    tells_behind: bool = True
    latency: float = 0.01
    page: int = 10_000
    idle: float = 1.0
    inclusive: bool = True
    raises: deque[Exception] = field(default_factory=deque)
    iterators: list[Position | Start] = field(default_factory=list)
    fetches: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    valid_from: int = 0

    async def iterator(self, place: Position | Start) -> str:
        await self._call()
        self.iterators.append(place)
        index = 0
        if isinstance(place, int):
            index = sum(each < place if self.inclusive else each <= place for each in self.positions)
        return f"{len(self.iterators)}/{max(index, self.trimmed)}"

    def expire(self) -> None:
        self.valid_from = len(self.iterators) + 1

    async def fetch(self, iterator: str, limit: int) -> Fetched:
        self.fetches.append(now())
        self.limits.append(limit)
        await self._call()
        made, at = (int(part) for part in iterator.split("/"))
        if made < self.valid_from:
            raise Disconnected(EXPIRED, "scripted")
        begin = max(at, self.trimmed)
        self.empty_pages -= 1
        end = begin if self.empty_pages >= 0 else min(begin + limit, len(self.positions))
        over = self.closed and end == len(self.positions)
        behind = float(len(self.positions) - end) if self.tells_behind else None
        items = self.positions[begin:end]
        children = self.children if over else None
        return Fetched(items, None if over else f"{made}/{end}", children, behind, self.size * len(items))

    def position(self, item: Any) -> Position:
        return int(item)

    def encode(self, items: Sequence[Any], seq: int, read: float) -> tuple[list[Record], list[Rejected]]:
        return [a_record(seq + place, position, read) for place, position in enumerate(items)], []

    async def _call(self) -> None:
        await asyncio.sleep(self.latency)
        if self.raises:
            raise self.raises.popleft()


def a_record(seq: int, position: int, read: float) -> Record:
    return Record(seq, str(position), "k", 0.0, read, b"{}", None, position)


def a_reader(
    shard: ScriptedShard,
    after: Position | Start = Start(),  # noqa: B008 -- frozen
    *,
    pacer: Pacer | None = None,
    on_end: Callable[[], None] = lambda: None,
) -> ShardReader:
    world = a_world()
    return ShardReader(shard, after, pacer or Pacer(QUOTA, world), world, on_end=on_end)


def positions(page: LogPage) -> list[int]:
    return [record.position for record in page.records]
