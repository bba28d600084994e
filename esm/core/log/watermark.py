"""How far a log's lane is done: the mark is the end of the gapless settled prefix.

One byte for each record between the mark and the end of what was read, found by its number. A page that is
settled as a whole keeps two positions instead of one per record, and such neighbours become one: a single
stuck record below a million settled ones costs next to nothing but their bytes.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from esm.checkpoint import Position
from esm.model import Record

_OPEN, _SETTLED = 0, 1
_ALL_SETTLED = bytes([_SETTLED])


class _Page:
    """Some records in a row; `positions` is None once all are settled, `end` is how far the read came."""

    __slots__ = ("count", "end", "first", "last", "positions", "start")

    def __init__(self, start: int, positions: list[Position], end: Position) -> None:
        self.start = start
        self.count = len(positions)
        self.first, self.last = positions[0], positions[-1]
        self.end = end
        self.positions: list[Position] | None = positions


class Watermark:
    """Every record that was read is `opened` once and `settled` once."""

    def __init__(self, at: Position | None) -> None:
        self._mark = at
        self._done = bytearray()
        self._base = 0
        self._pages: list[_Page] = []

    @property
    def mark(self) -> Position | None:
        """Everything up to here is finished; None if nothing ever was."""
        return self._mark

    def __len__(self) -> int:
        """Records between the mark and the end of what was read, settled ones too."""
        return len(self._done)

    def opened(self, records: Sequence[Record], upto: Position | None) -> None:
        """A page was read, in order of numbers; nothing is settled by that but the way to its end."""
        if records:
            if not self._done:
                self._base = records[0].seq
            positions = [record.position for record in records]
            end = positions[-1] if upto is None else max(upto, positions[-1])
            self._pages.append(_Page(records[0].seq, positions, end))
            self._done.extend(bytes(len(records)))
        elif upto is not None and self._pages:
            self._pages[-1].end = max(upto, self._pages[-1].end)
        elif upto is not None:
            self._mark = upto if self._mark is None else max(upto, self._mark)

    def settled(self, records: Sequence[Record]) -> None:
        """These are finished, whichever way; in order of numbers."""
        if not records:
            return
        done, base, count = self._done, self._base, len(records)
        first = records[0].seq
        if records[-1].seq - first == count - 1:
            done[first - base : first - base + count] = _ALL_SETTLED * count
        else:
            for record in records:
                done[record.seq - base] = _SETTLED
        self._advance()

    def runs(self) -> list[tuple[Position, Position]]:
        """What is settled above the mark: first and last position of each run of records without a gap."""
        self._compact()
        starts = [page.start for page in self._pages]
        return [
            (self._position(first, starts), self._position(last, starts)) for first, last in self._settled_runs()
        ]

    def _settled_runs(self) -> Iterator[tuple[int, int]]:
        """As indexes of bytes."""
        after = 0
        while (first := self._done.find(_SETTLED, after)) != -1:
            after = self._done.find(_OPEN, first)
            if after == -1:
                after = len(self._done)
            yield first, after - 1

    def _position(self, index: int, starts: Sequence[int]) -> Position:
        """Of a record; in a page that is settled as a whole only its first and last are ever asked for."""
        page = self._pages[bisect_right(starts, index + self._base) - 1]
        offset = index + self._base - page.start
        if page.positions is not None:
            return page.positions[offset]
        return page.first if offset == 0 else page.last

    def _advance(self) -> None:
        first_open = self._done.find(_OPEN)
        count = len(self._done) if first_open < 0 else first_open
        if not count:
            return
        del self._done[:count]
        self._base += count
        whole = 0
        while whole < len(self._pages) and self._pages[whole].start + self._pages[whole].count <= self._base:
            whole += 1
        if whole:
            self._mark = self._pages[whole - 1].end
            del self._pages[:whole]
        if self._pages and self._pages[0].start < self._base:
            self._cut(self._pages[0])

    def _cut(self, page: _Page) -> None:
        """The mark lies inside this page: never one that is settled as a whole, so it has its positions."""
        if page.positions is not None:
            gone = self._base - page.start
            self._mark = page.positions[gone - 1]
            del page.positions[:gone]
            page.start, page.count, page.first = self._base, len(page.positions), page.positions[0]

    def _compact(self) -> None:
        for page in self._pages:
            offset = page.start - self._base
            if page.positions is not None and self._done.find(_OPEN, offset, offset + page.count) < 0:
                page.positions = None
        for before, page in pairwise(tuple(self._pages)):
            if before.positions is None and page.positions is None:
                page.start, page.count, page.first = before.start, before.count + page.count, before.first
                before.count = 0
        self._pages = [page for page in self._pages if page.count]
