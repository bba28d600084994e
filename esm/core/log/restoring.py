"""From a checkpoint back to a lane: what each record that is read again had become.

What is settled is skipped, what belongs to a part goes back to it, the rest is fresh; nothing is handed out
before the last record of a part has been read. Then, of each key, what lies below the last record that a part
has of it and is in no part is finished: a part has the oldest unfinished records of its keys. So a settled span
that was left out costs duplicates, never order.
"""

from collections.abc import Iterable, Sequence

from esm.checkpoint import Checkpoint, Position, Span
from esm.core.log.checkpoints import beyond
from esm.core.log.parts import Key, Part
from esm.model import Record


class Restored:
    """What had become of the records that were read until the restoration was over.

    `finished` and `fresh` are records, `parts` are as they were left.
    """

    def __init__(self, parts: list[Part], finished: list[Record], fresh: list[Record]) -> None:
        self.parts = parts
        self.finished = finished
        self.fresh = fresh


class Restoration:
    """Reads on behind `checkpoint.at`; records come in order of their positions."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._spans = checkpoint.spans
        self._parts = checkpoint.parts
        self._next = 0
        self._members: list[list[Record]] = [[] for _ in checkpoint.parts]
        self._held: list[Record] = []
        self._last = max((span.last for span in checkpoint.spans if span.part is not None), default=None)
        self._reached: Position | None = None

    @property
    def is_open(self) -> bool:
        """Records of parts may still come."""
        return self._last is not None and (self._reached is None or self._reached < self._last)

    @property
    def is_idle(self) -> bool:
        """Nothing is left of the checkpoint that a record could be in."""
        return self._next >= len(self._spans)

    def admit(self, records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
        """Sorts records: those that are settled, and those that are fresh. Parts keep theirs here."""
        settled, fresh = [], []
        for record in records:
            span = self._span_of(record.position)
            if span is None:
                fresh.append(record)
            elif span.part is None:
                settled.append(record)
            else:
                self._members[span.part].append(record)
        return settled, fresh

    def is_settled(self, position: Position) -> bool:
        """For single records, in any order."""
        return any(span.part is None and span.first <= position <= span.last for span in self._spans)

    def hold(self, fresh: Iterable[Record]) -> None:
        """Keeps what is fresh until the restoration is over."""
        self._held += fresh

    def reached(self, position: Position) -> None:
        """The reader has come so far."""
        self._reached = position if self._reached is None else max(position, self._reached)

    def ended(self) -> None:
        """The lane has ended: no more records will come, whatever was expected."""
        self._last = None

    def finish(self) -> Restored:
        """Once it is not open any more: what was kept, sorted by key."""
        members, self._members = self._members, []
        parts = [Part(tuple(records), self._parts[i]) for i, records in enumerate(members) if records]
        last: dict[Key, Position] = {}
        for record in (record for part in parts for record in part.records):
            last[record.key] = max(record.position, last.get(record.key, record.position))
        held, self._held = self._held, []
        finished = [record for record in held if record.position < last.get(record.key, record.position)]
        fresh = [record for record in held if record.position >= last.get(record.key, record.position)]
        return Restored(parts, finished, fresh)

    def unread(self) -> Sequence[tuple[Position, Position]]:
        """Settled positions that the reader has not come to."""
        return beyond([span for span in self._spans[self._next :] if span.part is None], self._reached)

    def _span_of(self, position: Position) -> Span | None:
        while self._next < len(self._spans) and self._spans[self._next].last < position:
            self._next += 1
        if self._next == len(self._spans) or self._spans[self._next].first > position:
            return None
        return self._spans[self._next]
