"""The records in our hands, from the read that brought them to the one way they leave.

Custody joins the four places a held record is known in: the buffer it waits in, the receipts and deadlines of
`Holding`, the process's memory, and the queue itself. Records enter by `admit` and leave by `settle`,
`give_back` or `let_go`; where the queue keeps order, whatever waits behind a record that is not done leaves
with it, so that nothing overtakes. What no filter lets pass is never held: `discard` deletes it.
"""

from collections.abc import Iterable, Sequence

from msgspec import structs

from esm.core.batching import BatchRule
from esm.core.buffers import Buffer, FlatBuffer, KeyedBuffer
from esm.core.queue.holding import Holding, hold_until, weight
from esm.errors import Disconnected
from esm.model import Page, Record, Verdict
from esm.ports import QueueReader
from esm.runtime.happenings import Deleted, Extended, Filtered, LetGo, Rejection, Released, Renewed
from esm.runtime.memory import Memory
from esm.runtime.world import World


class Custody:
    """Everything one lane holds. `max_hold` in seconds, see `hold_until`."""

    def __init__(self, mapping: str, reader: QueueReader, memory: Memory, world: World, max_hold: float) -> None:
        self._mapping = mapping
        self._reader = reader
        self._memory = memory
        self._world = world
        self._max_hold = max_hold
        self._holding = Holding()
        self.waiting: Buffer = KeyedBuffer() if reader.ordered else FlatBuffer()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._holding)

    def new(self, records: Iterable[Record]) -> list[Record]:
        """Those of these that are not in our hands already."""
        return self._holding.new(records)

    def ids(self) -> list[str]:
        """The ids of everything held."""
        return self._holding.ids()

    def abandon(self) -> None:
        """The lane is over, however it ended: what it held takes no room any more."""
        self._memory.free(self.held_bytes)
        self.held_bytes = 0

    async def admit(self, page: Page) -> None:
        """Takes in a page."""
        fresh = self._holding.admit(page.records, self._reader.terms, self._now(), self._world.chance())
        self._hold(fresh)
        if len(fresh) < len(page.records):
            self._world.tell(Renewed(self._mapping, len(page.records) - len(fresh)))
        behind = self._behind_rejected(page, fresh) if page.rejected else []
        self.waiting.extend(_without(fresh, behind))
        await self.give_back(behind, "behind a record that is too large")

    def take(self, rule: BatchRule) -> list[Record]:
        """The next batch; its keys stay locked until `unlock`."""
        return self.waiting.take(rule.size, rule.room)

    def unlock(self, batch: Sequence[Record]) -> None:
        """The batch has left, one way or another."""
        self.waiting.unlock(batch)

    async def still_ours(self, batch: Sequence[Record]) -> list[Record]:
        """The batch with its newest receipts, without what was lost while it waited.

        In order: with a lost record the rest of its group leaves too.
        """
        now = self._now()
        lost = [record for record in batch if not self._holding.ours(record, now)]
        if lost:
            leaving = self._with_groups(lost, batch)
            batch = _without(batch, leaving)
            self._forget(lost)
            behind = self.waiting.remove(lost) if self._reader.ordered else []
            await self.give_back([*_without(leaving, lost), *behind], "behind a lost record")
        return [self._holding.latest(record) for record in batch]

    async def settle(self, batch_id: str, batch: Sequence[Record], verdict: Verdict) -> None:
        """Deletes what is done and leaves what failed; then neither is held any more."""
        done = [self._holding.latest(record) for record in verdict.done]
        failed = [self._holding.latest(record) for record in verdict.failed]
        self._holding.leave_alone(failed)
        settlement = await self._reader.settle(done, failed, ())
        self._forget(batch)
        undeleted = settlement.undeleted
        told = [[record.id for record in records] for records in (undeleted, settlement.overtook)]
        self._world.tell(Deleted(self._mapping, batch_id, settlement.deleted, *told))
        await self._free_behind([*failed, *undeleted])

    async def discard(self, records: Sequence[Record]) -> None:
        """Deletes what no filter lets pass. What cannot be deleted comes back, and is filtered again."""
        light = [structs.replace(record, event=b"") for record in records]  # waiting takes no memory to speak of
        settlement = await self._reader.settle(light, (), ())
        undeleted = [record.id for record in settlement.undeleted]
        self._world.tell(Filtered(self._mapping, len(records), undeleted))

    async def give_back(self, records: Sequence[Record], why: str) -> None:
        """Returns what was never sent to its queue, at once."""
        everything = [*records, *self.waiting.remove(records)] if self._reader.ordered else list(records)
        if everything:
            latest = [self._holding.latest(record) for record in everything]
            self._forget(everything)
            self._world.tell(Released(self._mapping, len(everything), why))
            await self._reader.settle((), (), latest)

    async def let_go(self, batch_id: str, batch: Sequence[Record]) -> None:
        """Leaves a batch that was refused for too long to its queue's visibility timeout, whole (D1)."""
        self._forget(batch)
        self._world.tell(LetGo(self._mapping, batch_id, len(batch)))
        await self._free_behind(batch)

    def time_left(self, batch: Iterable[Record]) -> float:
        """Seconds for which a batch that was not accepted may still be held."""
        now = self._now()
        return max(0.0, hold_until(batch, self._reader.terms, self._max_hold, now, self._world.wall()) - now)

    def patience(self, batch: Iterable[Record]) -> float:
        """Seconds for which a batch that was never refused waits for a slot: a visibility timeout at least.

        Given back any earlier it would be read again at once, and its receive count burnt in no time.
        """
        return max(self.time_left(batch), self._reader.terms.visibility)

    def next_extension(self) -> float | None:
        """Seconds until a heartbeat is due."""
        due = self._holding.next_due()
        return None if due is None else max(0.0, due - self._now())

    async def extend(self) -> None:
        """One heartbeat: asks for more time for what is due; what is lost and waits leaves the buffer."""
        terms = self._reader.terms
        asked = self._now()
        due = self._holding.due(asked, terms)
        if not due:
            return
        try:
            lost = await self._reader.extend(due, terms.visibility)
        except Disconnected:
            self._holding.unanswered(due, self._now())
            self._world.tell(Extended(self._mapping, 0, 0, len(due)))
            return
        gone = {record.id for record in lost}
        kept = [record for record in due if record.id not in gone]
        self._holding.extended(kept, terms, asked, self._world.chance())
        lost = self._holding.lost(lost)
        self._world.tell(Extended(self._mapping, len(kept), len(lost), 0))
        await self._drop_lost(lost)

    async def _drop_lost(self, lost: Sequence[Record]) -> None:
        leaving = self.waiting.remove(lost)
        behind = _without(leaving, lost)
        self._forget(_without(leaving, behind))
        await self.give_back(behind, "behind a lost record")

    async def _free_behind(self, records: Sequence[Record]) -> None:
        """Gives back what waits in the groups of records that are not done."""
        if self._reader.ordered and records:
            await self.give_back(self.waiting.remove(records), "behind a failed record of its group")

    def _behind_rejected(self, page: Page, fresh: Sequence[Record]) -> list[Record]:
        for rejected in page.rejected:
            self._world.tell(Rejection(self._mapping, rejected.record.id, rejected.why))
        return self._with_groups([rejected.record for rejected in page.rejected], fresh)

    def _with_groups(self, broken: Sequence[Record], among: Sequence[Record]) -> list[Record]:
        """Of `among`, the broken records and, where order counts, the rest of their groups."""
        if self._reader.ordered:
            keys = {record.key for record in broken}
            return [record for record in among if record.key in keys]
        ids = {record.id for record in broken}
        return [record for record in among if record.id in ids]

    def _hold(self, records: Sequence[Record]) -> None:
        size = sum(map(weight, records))
        self.held_bytes += size
        self._memory.hold(size, len(records))

    def _forget(self, records: Sequence[Record]) -> None:
        size = self._holding.forget(records)
        self.held_bytes -= size
        self._memory.free(size)

    def _now(self) -> float:
        return self._world.monotonic()


def _without(records: Sequence[Record], left_out: Sequence[Record]) -> list[Record]:
    """`records` in order, less those that are also in `left_out`, whichever copy it is."""
    ids = {record.id for record in left_out}
    return [record for record in records if record.id not in ids] if ids else list(records)
