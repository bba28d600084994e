"""Deletes messages in calls of up to ten, from however many batches end at the same time.

Handles gather only while calls are under way: a full ten goes at once, a smaller lot as soon as few calls are
open, so under load calls are full and without load nothing waits. The calls belong to the reader, not to
whoever ends a batch: cancelling one settle does not undo another's deletes.

Where the queue keeps order, a group has one call open at a time. A call may delete a message and fail for an
earlier one of its group; one call for each message would prevent that, at ten times the price for a single group.
Instead the failed one is tried again before anything else of its group is deleted, and if it never succeeds,
the settlement names what overtook it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from msgspec import Struct

from esm.clients.aws_calls import Call
from esm.core.backoff import Backoff
from esm.model import Record, Settlement
from esm.sources.sqs.entries import Batch, BatchAnswer
from esm.sources.sqs.queue import PAGE
from esm.world import World

_MOST_CALLS = 8
_FEW_CALLS = 2
_MOST_TRIES = 8
_LONGEST = 30.0
_BACKOFF = Backoff(base=0.1, cap=5.0)


class Order:
    """What one settle asked for. `until`: no further try after that (monotonic seconds)."""

    def __init__(self, records: Sequence[Record], until: float) -> None:
        self.until = until
        self.open = len(records)
        self.undeleted: list[Record] = []
        self.ended = asyncio.Event()
        self._records = records
        if not records:
            self.ended.set()

    def end(self, record: Record, *, deleted: bool) -> None:
        """One record was deleted or will not be tried again."""
        self.open -= 1
        if not deleted:
            self.undeleted.append(record)
        if not self.open:
            self.ended.set()

    async def settlement(self) -> Settlement:
        """When every record has ended."""
        await self.ended.wait()
        deleted = len(self._records) - len(self.undeleted)
        return Settlement(deleted, tuple(self.undeleted), _overtook(self._records, self.undeleted))


class _Entry(Struct, eq=False):
    record: Record
    order: Order
    tries: int = 0


class Deletes:
    """The deletes of one queue; made by `deleting`."""

    def __init__(self, batch: Batch, world: World, tasks: asyncio.TaskGroup) -> None:
        self._batch = batch
        self._world = world
        self._tasks = tasks
        self._waiting: deque[_Entry] = deque()
        self._unended: dict[_Entry, None] = {}  # in the order they were placed
        self._busy: set[str] = set()
        self._calls = 0
        self._closed = False

    def place(self, records: Sequence[Record]) -> Order:
        """Starts to delete these, in order; await the order's settlement for how it went."""
        order = Order(records, self._world.monotonic() + _LONGEST)
        entries = [_Entry(record, order) for record in records]
        self._unended.update(dict.fromkeys(entries))
        self._waiting.extend(entries)
        self._pump()
        return order

    async def finish(self) -> None:
        """Returns when nothing is waiting or under way."""
        while self._unended:
            await next(iter(self._unended)).order.ended.wait()

    def close(self) -> None:
        """No more calls; what has not ended was not deleted, as far as we know."""
        self._closed = True
        for entry in list(self._unended):
            self._end(entry, deleted=False)

    def _pump(self) -> None:
        while not self._closed and (lot := self._next_lot()):
            self._calls += 1
            self._tasks.create_task(self._delete(lot))

    def _next_lot(self) -> list[_Entry]:
        """Up to ten of the oldest, as soon as it is worth a call; their groups are busy from here on."""
        if self._calls >= _MOST_CALLS:
            return []
        lot = list(islice(self._free(), PAGE))
        if len(lot) < PAGE and self._calls >= _FEW_CALLS:
            return []
        self._take_out(lot)
        self._busy.update(_groups(lot))
        return lot

    def _free(self) -> Iterator[_Entry]:
        """What may be deleted now, in order: of a group with failed deletes, only those."""
        failed: set[str] = set()
        for entry in self._waiting:
            key = entry.record.key
            if key is None:
                yield entry
            elif key not in self._busy and (entry.tries or key not in failed):
                if entry.tries:
                    failed.add(key)
                yield entry

    def _take_out(self, lot: Sequence[_Entry]) -> None:
        if lot and lot[-1] is self._waiting[len(lot) - 1]:  # then nothing was passed over
            for _ in lot:
                self._waiting.popleft()
        else:
            taken = set(lot)
            self._waiting = deque(entry for entry in self._waiting if entry not in taken)

    async def _delete(self, lot: Sequence[_Entry]) -> None:
        answer = await self._batch.ask([entry.record for entry in lot])
        again = self._ended(lot, answer)
        self._calls -= 1
        self._busy -= _groups(lot) - _groups(again)
        self._pump()
        if again:
            await self._world.sleep(_BACKOFF.pause(again[0].tries, self._world.chance()))
            self._busy -= _groups(again)
            self._waiting.extendleft(reversed(again))
            self._pump()

    def _ended(self, lot: Sequence[_Entry], answer: BatchAnswer) -> list[_Entry]:
        """Ends what ended, and returns what is to be tried again."""
        refused = {record.seq for record in answer.refused}
        unanswered = {record.seq for record in answer.again}
        now = self._world.monotonic()
        again = []
        for entry in lot:
            entry.tries += 1
            if entry.record.seq not in unanswered:
                self._end(entry, deleted=entry.record.seq not in refused)
            elif entry.tries < _MOST_TRIES and now < entry.order.until:
                again.append(entry)
            else:
                self._end(entry, deleted=False)
        return again

    def _end(self, entry: _Entry, *, deleted: bool) -> None:
        if entry in self._unended:
            del self._unended[entry]
            entry.order.end(entry.record, deleted=deleted)


@asynccontextmanager
async def deleting(call: Call, url: str, world: World) -> AsyncIterator[Deletes]:
    """Deletes for as long as the context is open; leaving it waits for those under way, cancelling it does not."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        deletes = Deletes(Batch(call, "DeleteMessageBatch", url), world, tasks)
        try:
            try:
                yield deletes
            except Exception as error:  # noqa: BLE001 -- raised below: a task group would wrap it
                failure = error
            await deletes.finish()
        finally:
            deletes.close()
    if failure is not None:
        raise failure


def _groups(entries: Sequence[_Entry]) -> set[str]:
    return {entry.record.key for entry in entries if entry.record.key is not None}


def _overtook(records: Sequence[Record], undeleted: Sequence[Record]) -> tuple[Record, ...]:
    """What of `records`, in order, was deleted behind one of its group that was not."""
    stayed = {record.seq for record in undeleted}
    groups: set[str] = set()
    overtook = []
    for record in records if stayed else ():
        if record.seq in stayed and record.key is not None:
            groups.add(record.key)
        elif record.seq not in stayed and record.key in groups:
            overtook.append(record)
    return tuple(overtook)
