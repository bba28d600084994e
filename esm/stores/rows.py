"""A lane's row as a store keeps it: one number of the format, one compact JSON text.

Positions are long (a Kinesis sequence number has 56 digits) and close together, so each span is written as the
distance from the one before and its length: a checkpoint of 1,000 spans stays below 64 KiB. A change of what is
written here that an older program would not understand takes the next number.
"""

import msgspec
from msgspec import Struct

from esm.checkpoint import Budget, Checkpoint, LaneRow, Position, Span, Start
from esm.errors import StoreFailed

FORMAT = 2
"""The highest number of a format that is understood. 2: parts that an operator gave up."""


class _Part(Struct, array_like=True):
    """A `Budget`, as an array."""

    attempts: int
    first_failed: float | None
    in_flight: bool
    cuts: int


class _Checkpoint(Struct, omit_defaults=True):
    """A `Checkpoint`; each span as `distance.length` or `distance.length.part`, in hexadecimal digits.

    `given_up`: the numbers of such parts.
    """

    at: str | None = None
    ended: bool = False
    clean: bool = True
    spans: str = ""
    parts: list[_Part] = []
    given_up: list[int] = []


class _Body(Struct, omit_defaults=True):
    """What a row holds beside the columns that it is found and compared by."""

    start: Start | None = None
    checkpoint: _Checkpoint | None = None


_decoder = msgspec.json.Decoder(_Body)


def format_of(row: LaneRow) -> int:
    """The lowest number that says what is in a row: an older program goes on with what it understands."""
    return 2 if any(part.given_up for part in row.known.parts) else 1


def body_of(row: LaneRow) -> bytes:
    """The start and the checkpoint of a row."""
    checkpoint = None if row.checkpoint is None else _written(row.checkpoint)
    return msgspec.json.encode(_Body(row.start, checkpoint))


def contents(body: bytes, number: int, place: str) -> tuple[Start | None, Checkpoint | None]:
    """What `body_of` wrote; `number` is the format it was written in.

    Raises `StoreFailed`, which names `place`, for a newer format and for what is no such text.
    """
    if number > FORMAT:
        raise StoreFailed(newer(place, number))
    try:
        kept = _decoder.decode(body)
        return kept.start, None if kept.checkpoint is None else _read(kept.checkpoint)
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreFailed(f"{place} is damaged ({error}): restore it from a copy, or seek the lane anew") from None


def newer(place: str, number: int) -> str:
    """What is said of a row that a later version wrote."""
    return (
        f"{place} was written by a newer version of esm (format {number}, this one knows up to {FORMAT}):"
        " run that version, nothing was changed"
    )


def _written(checkpoint: Checkpoint) -> _Checkpoint:
    return _Checkpoint(
        at=None if checkpoint.at is None else str(checkpoint.at),
        ended=checkpoint.ended,
        clean=checkpoint.clean,
        spans=_packed(checkpoint),
        parts=[_Part(part.attempts, part.first_failed, part.in_flight, part.cuts) for part in checkpoint.parts],
        given_up=[number for number, part in enumerate(checkpoint.parts) if part.given_up],
    )


def _packed(checkpoint: Checkpoint) -> str:
    before = checkpoint.at or 0
    packed: list[str] = []
    for span in checkpoint.spans:
        part = "" if span.part is None else f".{span.part:x}"
        packed.append(f"{span.first - before:x}.{span.last - span.first:x}{part}")
        before = span.last
    return " ".join(packed)


def _read(kept: _Checkpoint) -> Checkpoint:
    at = None if kept.at is None else int(kept.at)
    return Checkpoint(
        at=at,
        ended=kept.ended,
        clean=kept.clean,
        spans=_unpacked(kept.spans, at or 0),
        parts=tuple(
            Budget(part.attempts, part.first_failed, part.in_flight, part.cuts, number in kept.given_up)
            for number, part in enumerate(kept.parts)
        ),
    )


def _unpacked(text: str, before: Position) -> tuple[Span, ...]:
    spans: list[Span] = []
    for span in text.split():
        distance, length, *part = (int(number, 16) for number in span.split("."))
        first = before + distance
        before = first + length
        spans.append(Span(first, before, part[0] if part else None))
    return tuple(spans)
