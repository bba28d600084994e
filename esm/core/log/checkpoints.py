"""From what a lane knows to its checkpoint.

Positions that were settled above the mark are remembered as far as there is room: losing one of them costs a
duplicate, never order. What is failing is remembered whatever it takes.
"""

from collections.abc import Iterable, Iterator, Sequence

from esm.checkpoint import Checkpoint, Position, Span
from esm.core.log.parts import Part

Run = tuple[Position, Position]
"""First and last position."""

MOST_SPANS = 2_000
"""Spans above which settled ones are left out, the highest first: about 240 kB of Kinesis positions."""


def build(
    at: Position | None,
    settled: Iterable[Run],
    parts: Iterable[Part],
    *,
    clean: bool,
) -> Checkpoint:
    """The checkpoint of a lane whose mark is `at`; `parts` are those that must outlive us."""
    ordered = sorted(parts, key=lambda part: part.records[0].position)
    failing = [span for number, part in enumerate(ordered) for span in _spans(part, number)]
    room = max(0, MOST_SPANS - len(failing))
    free = sorted(settled)
    if any(part.cover for part in ordered):
        free = list(_outside(free, sorted((span.first, span.last) for span in failing)))
    spans = [Span(first, last) for first, last in free[:room]] + failing
    return Checkpoint(
        at=at,
        clean=clean,
        spans=tuple(sorted(spans, key=lambda span: span.first)),
        parts=tuple(part.budget for part in ordered),
    )


def beyond(spans: Sequence[Span], reached: Position | None) -> list[Run]:
    """Of settled spans what lies behind `reached`: whoever has not read it yet must not forget it."""
    if reached is None:
        return [(span.first, span.last) for span in spans]
    return [(max(span.first, reached + 1), span.last) for span in spans if span.last > reached]


def _spans(part: Part, number: int) -> Iterator[Span]:
    """One for each run of records: a span must not swallow records of others. What is covered stays as it was."""
    first_, last_ = part.records[0].position, part.records[-1].position
    for first, last in part.cover or part.runs():
        if first <= last_ and last >= first_:
            yield Span(max(first, first_), min(last, last_), number)


def _outside(settled: Iterable[Run], covers: Sequence[Run]) -> Iterator[Run]:
    """What of the settled runs is under no cover; both are in order, and each is disjoint in itself."""
    place = 0
    for first, last in settled:
        while place < len(covers) and covers[place][1] < first:
            place += 1
        rest, under = first, place
        while under < len(covers) and covers[under][0] <= last:
            if covers[under][0] > rest:
                yield rest, covers[under][0] - 1
            rest = max(rest, covers[under][1] + 1)
            under += 1
        if rest <= last:
            yield rest, last
