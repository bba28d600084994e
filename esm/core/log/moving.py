"""What an operator makes of a lane's row: moved to another place, or told to give up what is stuck. Pure.

Each of these rows is the first write of a new owner, so whoever works on the lane meanwhile notices that it lost
the row, and opens it again as it stands then (docs/decisions: 31).
"""

from collections.abc import Sequence

from msgspec import structs

from esm.checkpoint import Checkpoint, LaneRow, Position, Span, Start


def sought(row: LaneRow, to: Position | Start, owner: str) -> LaneRow:
    """The row of a lane that goes on behind a position, or begins at a start; what was pending is forgotten."""
    if isinstance(to, Start):
        return structs.replace(_taken(row, owner), start=to, checkpoint=None)
    return structs.replace(_taken(row, owner), checkpoint=Checkpoint(to))


def skipped(row: LaneRow, number: int, owner: str) -> LaneRow:
    """The row with a part marked as given up: the engine takes it to its destination and goes on behind it.

    Raises IndexError if there is no such part.
    """
    parts = list(row.known.parts)
    parts[number] = structs.replace(parts[number], in_flight=False, cuts=0, given_up=True)
    return structs.replace(_taken(row, owner), checkpoint=structs.replace(row.known, parts=tuple(parts)))


def imported(kept: LaneRow, old: LaneRow | None, owner: str) -> LaneRow:
    """The row that says what `kept` said, in the place of `old`."""
    return _taken(structs.replace(kept, epoch=kept.epoch if old is None else old.epoch), owner)


def stuck(checkpoint: Checkpoint) -> int | None:
    """The number of the oldest part that has failed and is not given up yet, None if there is none."""
    return next((n for n, part in enumerate(checkpoint.parts) if part.attempts and not part.given_up), None)


def spans_of(checkpoint: Checkpoint, number: int) -> Sequence[Span]:
    """Where the records of a part stand, in order: what tells it from another, whatever its number becomes."""
    return [span for span in checkpoint.spans if span.part == number]


def part_at(checkpoint: Checkpoint, spans: Sequence[Span]) -> int | None:
    """The number that the part with these positions has by now, None if it is done or was divided."""
    places = _places(spans)
    return next((n for n in range(len(checkpoint.parts)) if _places(spans_of(checkpoint, n)) == places), None)


def _places(spans: Sequence[Span]) -> list[tuple[Position, Position]]:
    return [(span.first, span.last) for span in spans]


def _taken(row: LaneRow, owner: str) -> LaneRow:
    return structs.replace(row, owner=owner, epoch=row.epoch + 1, counter=0)
