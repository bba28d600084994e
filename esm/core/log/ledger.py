"""Everything one lane of a log has read and not finished: the buffer, the owners, the mark.

A record enters by `admit` and leaves by `finished`, once; in between it waits in the buffer or belongs to one
owner. What must outlive us of all that is the `checkpoint`.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, structs

from esm.checkpoint import Checkpoint, Position
from esm.core.batching import BatchRule, share
from esm.core.buffers import KEYS, ONE_KEY, KeyedBuffer
from esm.core.log.checkpoints import build
from esm.core.log.judging import RetryRule, cut_off
from esm.core.log.packing import most_records
from esm.core.log.parts import UNTRIED, Owner, Part, independent
from esm.core.log.places import give_places, written
from esm.core.log.restoring import Restoration
from esm.core.log.watermark import Watermark
from esm.model import LogPage, Record

Keeps = Callable[[Record], bool]

MOST_PAST_MARK = 100_000
"""Records that a lane reads beyond its mark before it waits for what holds the mark."""

MOST_OWNERS = 200
"""Batches with records that are not finished, above which nothing more is handed out."""


class LaneRule(Struct, frozen=True):
    """How a lane is worked off; `factor` is ParallelizationFactor: batches in flight at once, order per key.

    `room`: characters that a checkpoint may take where it goes with a commit (`packing`), None where it has a row.
    """

    batch: BatchRule
    factor: int
    retry: RetryRule
    room: int | None = None

    @property
    def needs_places(self) -> bool:
        """There is a budget to be kept, and little room for it."""
        return self.room is not None and self.retry.attempts is not None


class Admitted(Struct, frozen=True):
    """What a page brought: owners that may be sent, and how many records no filter let pass."""

    owners: Sequence[Owner] = ()
    filtered: int = 0


class Ledger:
    """One lane, opened behind `checkpoint`. `keeps` says which records are delivered, None for all."""

    def __init__(self, checkpoint: Checkpoint, rule: LaneRule, keeps: Keeps | None = None) -> None:
        self._opened_with = checkpoint
        self._rule = rule
        self._keeps = keeps
        self._keys = ONE_KEY if rule.factor == 1 else KEYS
        self._reached = checkpoint.at
        self._mark = Watermark(checkpoint.at)
        self._restoration = Restoration(checkpoint)
        self.is_restoring = self._restoration.is_open
        self.buffer = KeyedBuffer(self._keys)
        self.owners: dict[Owner, None] = {}
        self.has_ended = False
        self.held_bytes = 0

    @property
    def mark(self) -> Position | None:
        """Everything up to here is finished."""
        return self._mark.mark

    @property
    def past_mark(self) -> int:
        """Records that were read beyond the mark."""
        return len(self._mark)

    @property
    def is_crowded(self) -> bool:
        """Too much is unfinished for reading on."""
        return self.past_mark >= MOST_PAST_MARK or not self.may_hand_out

    @property
    def may_hand_out(self) -> bool:
        """Fresh batches may be taken: what had failed has been read again, and not too many are unfinished."""
        return not self.is_restoring and len(self.owners) < MOST_OWNERS

    @property
    def is_finished(self) -> bool:
        """The lane has ended, and so has everything in it."""
        return self.has_ended and not self.past_mark and not self.is_restoring

    @property
    def oldest(self) -> Record | None:
        """The record that holds the mark, as far as it was handed out or waits to be."""
        heads = [owner.first.records[0] for owner in self.owners]
        if waiting := self.buffer.oldest:
            heads.append(waiting)
        return min(heads, key=lambda record: record.seq, default=None)

    def admit(self, page: LogPage, now: float) -> Admitted:
        """Takes in a page that was read at `now` (epoch seconds)."""
        rejected = [each.record for each in page.rejected]
        everything = sorted([*page.records, *rejected], key=_number) if rejected else page.records
        self._mark.opened(everything, page.upto)
        kept, filtered = self._sifted(page.records)
        settled, fresh = self._recalled(kept)
        self._mark.settled(filtered)
        self._mark.settled(settled)
        owners = self._too_large(page)
        self.held_bytes += weigh(fresh)
        self._follow(page, everything)
        if self.is_restoring:
            self._restoration.hold(fresh)
            owners += self._restored(now)
        else:
            self.buffer.extend(fresh)
        return Admitted(owners, len(filtered))

    def take(self, free: int) -> Owner:
        """The next batch, for one of `free` workers; only while something is ready."""
        batch = self._rule.batch
        limit = share(self.buffer.ready, free, batch.size, self._rule.factor)
        return self._own([Part(tuple(self.buffer.take(min(limit, self._most()), batch.room)))])

    def finished(self, owner: Owner, records: Sequence[Record]) -> None:
        """These have left our hands for good: delivered, or given up and told of."""
        self.held_bytes -= weigh(records)
        free = owner.finished(records)
        self._mark.settled(records)
        self.buffer.unlock_keys(free)
        if not owner.parts:
            del self.owners[owner]

    def separate(self, owner: Owner) -> list[Owner]:
        """What need not wait for the first part of an owner, as owners of their own."""
        others = owner.split_off()
        self.owners.update(dict.fromkeys(others))
        return others

    def has_place(self, owner: Owner) -> bool:
        """What is sent next of an owner can be written down, and will be with the next checkpoint."""
        if not self._rule.needs_places:
            return True
        self._give_places()
        return bool(owner.first.cover)

    def checkpoint(self, *, clean: bool) -> Checkpoint:
        """What is known now; while parts are still read again, what was known before."""
        if self.is_restoring:
            return structs.replace(self._opened_with, clean=clean and self._opened_with.clean)
        if self.is_finished:
            return Checkpoint(self.mark, ended=True, clean=clean)
        settled = [*self._mark.runs(), *self._restoration.unread()]
        return build(self.mark, settled, self._written(), clean=clean)

    def _written(self) -> list[Part]:
        """The parts that have to outlive us; of those without a limit of retries as many as there is room for."""
        if self._rule.room is None:
            return [part for owner in self.owners if owner.is_written for part in owner.parts]
        self._give_places()
        return written(self.owners, self._rule.room, self.mark)

    def _give_places(self) -> None:
        if self._rule.room is not None:
            give_places(self.owners, self._rule.room, self.mark)

    def _most(self) -> int:
        """How large a batch of interleaved keys may be, so that whatever fails of it can be written down."""
        if self._rule.room is None or self._rule.factor == 1:
            return self._rule.batch.size
        extent = (self._reached or 0) - (self.mark or 0)
        return most_records(1 << extent.bit_length(), self._rule.room)

    def _sifted(self, records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
        """Those that are delivered, and those that no filter lets pass."""
        if self._keeps is None:
            return records, ()
        kept: list[Record] = []
        filtered: list[Record] = []
        for record in records:
            (kept if self._keeps(record) else filtered).append(record)
        return kept, filtered

    def _recalled(self, records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
        """Those that the checkpoint knows to be settled, and those that nothing is known of."""
        if self._restoration.is_idle:
            return (), records
        return self._restoration.admit(records)

    def _too_large(self, page: LogPage) -> list[Owner]:
        owners = []
        for rejected in page.rejected:
            if self._is_wanted(rejected.record):
                self.held_bytes += weigh([rejected.record])
                owner = Owner([Part((rejected.record,), too_large=rejected.why)], None)
                self.owners[owner] = None
                owners.append(owner)
            else:
                self._mark.settled([rejected.record])
        return owners

    def _is_wanted(self, record: Record) -> bool:
        """A filter lets it pass, and it was not given up already."""
        return (self._keeps is None or self._keeps(record)) and not self._restoration.is_settled(record.position)

    def _follow(self, page: LogPage, records: Sequence[Record]) -> None:
        """Notes how far the reader is."""
        reached = [records[-1].position] if records else []
        if page.upto is not None:
            reached.append(page.upto)
        for position in reached:
            self._reached = position if self._reached is None else max(position, self._reached)
            self._restoration.reached(position)
        if page.ended:
            self.has_ended = True
            self._restoration.ended()

    def _restored(self, now: float) -> list[Owner]:
        """Once everything that had failed has been read again: its owners, ahead of all that is fresh."""
        if self._restoration.is_open:
            return []
        self.is_restoring = False
        restored = self._restoration.finish()
        self._mark.settled(restored.finished)
        self.held_bytes -= weigh(restored.finished)
        self.held_bytes += sum(weigh(part.records) for part in restored.parts)
        written = map(self._in_its_place, restored.parts)
        parts = [each for part in written for each in cut_off(part, self._rule.retry, now)]
        owners = [self._own(group, known=True) for group in independent(parts, self._keys.key_of)]
        for owner in owners:
            self.buffer.lock(owner.keys)
        self.buffer.extend(restored.fresh)
        return owners

    def _in_its_place(self, part: Part) -> Part:
        """A part that came back, under the spans that it was found by."""
        if self._rule.room is None or part.budget == UNTRIED:
            return part
        spans, first = self._opened_with.spans, part.records[0].position
        number = next(span.part for span in spans if span.first <= first <= span.last)
        cover = tuple((span.first, span.last) for span in spans if span.part == number)
        return structs.replace(part, cover=cover)

    def _own(self, parts: Iterable[Part], *, known: bool = False) -> Owner:
        owner = Owner(parts, self._keys.key_of, known=known)
        self.owners[owner] = None
        return owner


def weigh(records: Iterable[Record]) -> int:
    """Bytes that held records count for, as in a queue (see `holding`): fragment and share of the payload."""
    return 2 * sum([len(record.event) for record in records])


def _number(record: Record) -> int:
    return record.seq
