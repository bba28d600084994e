"""From what a lane knows to its checkpoint.

Positions that were settled above the mark are remembered as far as there is room: losing one of them costs a
duplicate, never order. What is failing is remembered whatever it takes.
"""

from collections.abc import Iterable, Sequence

from esm.checkpoint import Checkpoint, Position, Span
from esm.core.parts import Part

MOST_SPANS = 2_000
"""Spans above which settled ones are left out, the highest first: about 240 kB of Kinesis positions."""


def build(
    at: Position | None,
    settled: Iterable[tuple[Position, Position]],
    parts: Iterable[Part],
    *,
    clean: bool,
) -> Checkpoint:
    """The checkpoint of a lane whose mark is `at`; `parts` are those that must outlive us."""
    ordered = sorted(parts, key=lambda part: part.records[0].position)
    failing = [span for number, part in enumerate(ordered) for span in _spans(part, number)]
    room = max(0, MOST_SPANS - len(failing))
    spans = [Span(first, last) for first, last in sorted(settled)[:room]] + failing
    return Checkpoint(
        at=at,
        clean=clean,
        spans=tuple(sorted(spans, key=lambda span: span.first)),
        parts=tuple(part.budget for part in ordered),
    )


def beyond(spans: Sequence[Span], reached: Position | None) -> list[tuple[Position, Position]]:
    """Of settled spans what lies behind `reached`: whoever has not read it yet must not forget it."""
    if reached is None:
        return [(span.first, span.last) for span in spans]
    return [(max(span.first, reached + 1), span.last) for span in spans if span.last > reached]


def _spans(part: Part, number: int) -> Iterable[Span]:
    """One for each run of records with none between them: a span must not swallow records of others."""
    first = before = part.records[0]
    for record in part.records[1:]:
        if record.seq != before.seq + 1:
            yield Span(first.position, before.position, number)
            first = record
        before = record
    yield Span(first.position, before.position, number)
