"""A lane's row while it is ours: every write is fenced; one whose answer got lost is not taken for theft."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import structs

from esm.checkpoint import Checkpoint, LaneRow, Start
from esm.core.log.lineage import EVERY_LANE
from esm.errors import LostLease
from esm.ports import LaneStore, LogSource


class HeldRow:
    """The row of one lane in `store`, taken by `take_row`; one write at a time.

    `found` is the checkpoint that it had before.
    """

    def __init__(self, store: LaneStore, row: LaneRow, found: Checkpoint) -> None:
        self.found = found
        self._store = store
        self._row = row
        self._unanswered: list[LaneRow] = []
        self._is_lost = False

    @property
    def is_certain(self) -> bool:
        """The row in the store is the one that we know."""
        return not self._unanswered and not self._is_lost

    @property
    def row(self) -> LaneRow:
        """As we know it to be."""
        return self._row

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, durably. Raises `StoreFailed`, `LostLease` if the row is not ours any more."""
        while not await self._write(checkpoint):
            await self._look_again()

    async def _write(self, checkpoint: Checkpoint) -> bool:
        row = self._row
        counter = row.counter + 1 + len(self._unanswered)  # no two writes look the same
        new = LaneRow(row.scope, row.lane, row.owner, row.epoch, counter, row.start, checkpoint)
        self._unanswered.append(new)
        if not await self._store.swap(row, new):
            self._unanswered.remove(new)
            return False
        self._row = new
        self._unanswered.clear()
        return True

    async def _look_again(self) -> None:
        """The row is not what we knew it to be: was it one of our writes that nobody answered?"""
        now = await find_row(self._store, self._row.scope, self._row.lane)
        ours = [row for row in self._unanswered if now is not None and _version(row) == _version(now)]
        if not ours:
            self._is_lost = True
            raise LostLease(f"{self._row.lane} is written by somebody else")
        self._row = ours[0]
        self._unanswered.clear()


async def take_row(store: LaneStore, scope: str, lane: str, owner: str) -> HeldRow:
    """Makes a lane ours. `owner` is unique to this opening.

    It counts as not closed from now on, so that a crash before the first checkpoint is noticed too. Raises
    `StoreFailed`, `LostLease` if somebody else took it meanwhile.
    """
    return await _taken(store, (scope, lane), owner, await find_row(store, scope, lane))


class Rows(Protocol):
    """The rows of a scope, one of which is taken when its lane begins and left when that stops."""

    async def take(self, lane: str, owner: str) -> HeldRow:
        """As `take_row`."""

    def leave(self, row: HeldRow) -> None:
        """Nobody writes this row for now."""


class SharedRows:
    """Rows that others write while they are not ours, so each is read when it is taken."""

    def __init__(self, store: LaneStore, scope: str) -> None:
        self._store = store
        self._scope = scope

    async def take(self, lane: str, owner: str) -> HeldRow:
        """As `take_row`."""
        return await take_row(self._store, self._scope, lane, owner)

    def leave(self, row: HeldRow) -> None:
        """Somebody else may take it."""


class SeenRows:
    """The rows of a scope as they were seen last: a thousand lanes that begin do not each read all of them.

    `rows` are all there are; a lane that has none then is new.
    """

    def __init__(self, store: LaneStore, scope: str, rows: Iterable[LaneRow]) -> None:
        self._store = store
        self._scope = scope
        self._seen = {row.lane: row for row in rows}
        self._doubtful: set[str] = set()

    async def take(self, lane: str, owner: str) -> HeldRow:
        """As `take_row`; what was seen is believed once. Raises what that raises."""
        if lane in self._doubtful:
            return await take_row(self._store, self._scope, lane, owner)
        self._doubtful.add(lane)
        return await _taken(self._store, (self._scope, lane), owner, self._seen.pop(lane, None))

    def forget(self, lane: str) -> None:
        """It has no row any more."""
        self._seen.pop(lane, None)

    def leave(self, row: HeldRow) -> None:
        """Nobody writes this row for now."""
        if row.is_certain:
            self._seen[row.row.lane] = row.row
            self._doubtful.discard(row.row.lane)


async def _taken(store: LaneStore, place: tuple[str, str], owner: str, old: LaneRow | None) -> HeldRow:
    """The row at a scope and lane, if it is still `old`."""
    scope, lane = place
    found = old.checkpoint if old is not None and old.checkpoint is not None else Checkpoint()
    epoch, start = (old.epoch, old.start) if old is not None else (0, None)
    opened = structs.replace(found, clean=False)
    new = LaneRow(scope, lane, owner, epoch + 1, 0, start, opened)
    if not await store.swap(old, new):
        raise LostLease(f"{lane} was taken by somebody else")
    return HeldRow(store, new, found)


async def resolve_start(store: LaneStore, scope: str, source: LogSource) -> Start:
    """Where lanes without a checkpoint begin: asked of the source once, and written down before anything is read.

    Raises `StoreFailed`, `Disconnected`.
    """
    row = await find_row(store, scope, EVERY_LANE)
    if row is None or row.start is None:
        start = await source.begin()
        await store.swap(row, LaneRow(scope, EVERY_LANE, epoch=1 if row is None else row.epoch + 1, start=start))
        row = await find_row(store, scope, EVERY_LANE)
    if row is None or row.start is None:
        raise LostLease(f"the start of {scope} was taken away")
    return row.start


async def find_row(store: LaneStore, scope: str, lane: str) -> LaneRow | None:
    """A lane's row, None if there is none. Raises `StoreFailed`."""
    return next((row for row in await store.view(scope) if row.lane == lane), None)


def _version(row: LaneRow) -> tuple[str, int, int]:
    return row.owner, row.epoch, row.counter
