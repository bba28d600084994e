"""A lane's row as text that travels with a commit: everything but the committed offset itself.

A topic's group keeps one offset for each partition, and beside it a text of at most 4 KiB: here the budgets of
what is failing, and what is settled above the mark. A budget is never left out; settled spans are, the highest
first, which costs duplicates and never order (docs/decisions: 36).

    esm1 CHECKSUM NUMBERS OWNER

The numbers follow one another, each in digits of five bits, the lowest first; a sixth bit says that one more
follows. The checksum covers the offset too: whoever sets it elsewhere and leaves the text must not be believed.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from math import log

from msgspec import Struct

from esm.checkpoint import Budget, Checkpoint, LaneRow, Position, Span

ROOM = 4096
"""Characters that a broker keeps beside an offset (`offset.metadata.max.bytes`), unless it is told otherwise."""

FORMAT = 1
"""The number of the format that is written, and the highest that is understood."""

HEADROOM = 160
"""Characters kept free for everything but parts: two numbers, an owner of up to 64 characters, a source's own."""

_MOST_BUDGET = 24
_MOST_CUTS = 31
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_BITS, _MORE = 5, 32
_OURS = re.compile(r"esm([0-9]{1,9}) ")
_TEXT = re.compile(r"(?P<sum>[0-9a-f]{8}) (?P<numbers>[0-9a-zA-Z_-]+) (?P<owner>.*)", re.DOTALL)


class Newer(Struct, frozen=True):
    """The text was written by a newer version, in a format that is not known here: it must not be overwritten."""

    format: int


def pack(row: LaneRow, room: int = ROOM) -> str:
    """The text that goes with the commit of `row`, whose offset is one above its checkpoint's `at`.

    At most `room` characters; a `start` is not in it: a lane of a group begins at its offset. Raises ValueError if
    the parts do not fit: no checkpoint of a `Ledger` that knows its room has such.
    """
    checkpoint = row.checkpoint or Checkpoint()
    at, owner = _base(checkpoint.at), f" {row.owner}"
    known = _numbers(row.epoch, row.counter, checkpoint.ended | checkpoint.clean << 1) + _parts(checkpoint, at)
    settled = [(span.first, span.last) for span in checkpoint.spans if span.part is None]
    left = room - len(f"esm{FORMAT} 00000000 ") - len(known) - len(owner)
    if left < 0:
        raise ValueError(f"what is failing takes {-left} characters more than the {room} there are")
    body = known + "".join(_fitting(_spans_text(settled, at), left)) + owner
    return f"esm{FORMAT} {_checksum(body, at)} {body}"


def unpack(text: str, scope: str, lane: str, at: Position) -> LaneRow | Newer:
    """The row whose offset is one above `at`; of a text that is not ours nothing is known above that."""
    nothing = LaneRow(scope, lane, checkpoint=Checkpoint(at))
    ours = _OURS.match(text)
    if ours is None:
        return nothing
    if int(ours[1]) > FORMAT:
        return Newer(int(ours[1]))
    found = _TEXT.fullmatch(text, ours.end())
    if found is None or found["sum"] != _checksum(f"{found['numbers']} {found['owner']}", at):
        return nothing
    return _read(scope, lane, at, found["owner"], _values(found["numbers"]))


def part_size(spans: Sequence[tuple[Position, Position]], at: Position | None) -> int:
    """Characters that a part takes at most, while its spans are these and the mark is not below `at`."""
    digits, before = _digits(len(spans)), _base(at)
    for first, last in spans:
        digits += _digits(first - before - 1) + _digits(last - first)
        before = last
    return _MOST_BUDGET + digits


@lru_cache(maxsize=64)
def most_records(extent: int, room: int) -> int:
    """How large a batch may be so that any part of it fits into `room` characters by itself.

    Its records lie anywhere in `extent` positions above the mark. n records make at most n spans, and n distances
    that add up to no more than `extent` take no more digits than n equal ones.
    """
    left = room - HEADROOM - _MOST_BUDGET - 4
    most = max(1, left // 2)
    while most > 1 and most * (2 + log(max(extent / most, 1.0), 2**_BITS)) > left:
        most -= max(1, most // 64)
    return most


def _spans_text(spans: Iterable[tuple[Position, Position]], at: Position) -> Iterator[str]:
    """Each span above `at`, disjoint and in order, as its distance from the one before and its length."""
    before = at
    for first, last in spans:
        yield _numbers(first - before - 1, last - first)
        before = last


def _parts(checkpoint: Checkpoint, at: Position) -> str:
    """Their number, the earliest of their first failures, and each with its spans."""
    mine: list[list[tuple[Position, Position]]] = [[] for _ in checkpoint.parts]
    for span in checkpoint.spans:
        if span.part is not None:
            mine[span.part].append((span.first, span.last))
    since = min((_milliseconds(part) for part in checkpoint.parts if part.first_failed is not None), default=0)
    each = (
        _budget(budget, since) + _numbers(len(spans)) + "".join(_spans_text(spans, at))
        for budget, spans in zip(checkpoint.parts, mine, strict=True)
    )
    return _numbers(len(checkpoint.parts), since) + "".join(each)


def _budget(budget: Budget, since: int) -> str:
    head = budget.attempts << 3 | budget.given_up << 2 | (budget.first_failed is not None) << 1 | budget.in_flight
    first = () if budget.first_failed is None else (_milliseconds(budget) - since,)
    return _numbers(head, min(budget.cuts, _MOST_CUTS), *first)


def _milliseconds(budget: Budget) -> int:
    return max(0, round(1000 * (budget.first_failed or 0.0)))


def _fitting(texts: Iterable[str], room: int) -> Iterator[str]:
    """As many from the front as there is room for."""
    for text in texts:
        room -= len(text)
        if room < 0:
            return
        yield text


def _read(scope: str, lane: str, at: Position, owner: str, numbers: Iterator[int]) -> LaneRow:
    epoch, counter, flags, count, since = islice(numbers, 5)
    parts: list[Budget] = []
    spans: list[Span] = []
    for number in range(count):
        parts.append(_read_budget(numbers, since))
        spans += _read_spans(islice(numbers, 2 * next(numbers)), at, number)
    spans += _read_spans(numbers, at, None)
    checkpoint = Checkpoint(
        at=at,
        ended=bool(flags & 1),
        clean=bool(flags & 2),
        spans=tuple(sorted(spans, key=lambda span: span.first)),
        parts=tuple(parts),
    )
    return LaneRow(scope, lane, owner, epoch, counter, None, checkpoint)


def _read_budget(numbers: Iterator[int], since: int) -> Budget:
    head, cuts = next(numbers), next(numbers)
    first = (since + next(numbers)) / 1000 if head & 2 else None
    return Budget(head >> 3, first, bool(head & 1), cuts, bool(head & 4))


def _read_spans(numbers: Iterator[int], before: Position, part: int | None) -> Iterator[Span]:
    for distance in numbers:
        first = before + 1 + distance
        before = first + next(numbers)
        yield Span(first, before, part)


def _numbers(*values: int) -> str:
    digits: list[str] = []
    for value in values:
        left = value
        while left >= _MORE:
            digits.append(_DIGITS[left % _MORE + _MORE])
            left >>= _BITS
        digits.append(_DIGITS[left])
    return "".join(digits)


def _digits(value: int) -> int:
    """How many `_numbers` writes."""
    return max(1, -(-value.bit_length() // _BITS))


def _values(text: str) -> Iterator[int]:
    value = shift = 0
    for digit in text:
        part = _VALUES[digit]
        value |= (part % _MORE) << shift
        shift += _BITS
        if part < _MORE:
            yield value
            value = shift = 0


def _base(at: Position | None) -> Position:
    """What distances begin at; before offset 0 there is nothing."""
    return -1 if at is None else at


def _checksum(body: str, at: Position) -> str:
    return f"{zlib.crc32(f'{at} {body}'.encode()):08x}"
