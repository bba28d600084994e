"""Rows of lanes as a document, for people and programs: every position and budget under its name.

A store keeps rows in a form of its own, which is compact and may change; this one is for copies that outlive it.
Positions are text, because few programs read numbers of 56 digits as they are.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct, structs

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span, Start

VERSION = 1
"""The number of the document's form; a higher one is refused."""


class SpanText(Struct, frozen=True, forbid_unknown_fields=True):
    """The positions from `first` to `last`: finished, or of part number `part`."""

    first: str
    last: str
    part: int | None = None


class PartText(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Budget`; `first_failed` in epoch seconds."""

    attempts: int
    first_failed: float | None
    in_flight: bool
    cuts: int
    given_up: bool


class StartText(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Start`; `time` in epoch seconds, None for the oldest record."""

    time: float | None


class CheckpointText(Struct, frozen=True, forbid_unknown_fields=True):
    """A `Checkpoint`."""

    at: str | None
    ended: bool
    clean: bool
    spans: Sequence[SpanText]
    parts: Sequence[PartText]


class RowText(Struct, frozen=True, forbid_unknown_fields=True):
    """A `LaneRow`; `mapping` is the name of the mapping whose id is `scope`, None if no name is known."""

    mapping: str | None
    scope: str
    lane: str
    owner: str
    epoch: int
    counter: int
    start: StartText | None
    checkpoint: CheckpointText | None


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file."""

    version: int
    rows: Sequence[RowText]


class _Version(Struct):
    version: int


def text_of(row: LaneRow, mapping: str | None) -> RowText:
    """`mapping` is the name of the row's mapping."""
    return RowText(
        mapping=mapping,
        scope=row.scope,
        lane=row.lane,
        owner=row.owner,
        epoch=row.epoch,
        counter=row.counter,
        start=None if row.start is None else StartText(row.start.time),
        checkpoint=None if row.checkpoint is None else _written(row.checkpoint),
    )


def row_of(text: RowText) -> LaneRow:
    """What `text_of` was given. Raises ValueError, naming the lane, for what no lane can have written."""
    try:
        checkpoint = None if text.checkpoint is None else _read(text.checkpoint)
    except ValueError as error:
        raise ValueError(f"lane {text.lane} of {text.mapping or text.scope}: {error}") from None
    start = None if text.start is None else Start(text.start.time)
    return LaneRow(text.scope, text.lane, text.owner, text.epoch, text.counter, start, checkpoint)


def encoded(document: Document | RowText) -> str:
    """JSON, on lines for people."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def decoded(text: bytes) -> Document:
    """Raises ValueError for what is no such document, or one of a later version."""
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version > VERSION:
            raise ValueError(
                f"was written by a newer version of esm (version {version}, this one knows {VERSION})"
            )
        return msgspec.json.decode(text, type=Document)
    except msgspec.DecodeError as error:
        raise ValueError(f"is no export of esm: {error}") from None


def _written(checkpoint: Checkpoint) -> CheckpointText:
    return CheckpointText(
        at=None if checkpoint.at is None else str(checkpoint.at),
        ended=checkpoint.ended,
        clean=checkpoint.clean,
        spans=[SpanText(str(span.first), str(span.last), span.part) for span in checkpoint.spans],
        parts=[PartText(**structs.asdict(part)) for part in checkpoint.parts],
    )


def _read(text: CheckpointText) -> Checkpoint:
    spans = tuple(Span(_position(span.first), _position(span.last), span.part) for span in text.spans)
    at = None if text.at is None else _position(text.at)
    _check(at, spans, len(text.parts))
    parts = tuple(Budget(**structs.asdict(part)) for part in text.parts)
    return Checkpoint(at, text.ended, text.clean, spans, parts)


def _position(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is no position")
    return int(text)


def _check(at: int | None, spans: Sequence[Span], parts: int) -> None:
    """What is read again relies on it: a span in a wrong place would pass over records that nobody has."""
    if any(span.first > span.last for span in spans):
        raise ValueError("a span ends before it begins")
    if any(after.first <= before.last for before, after in pairwise(spans)):
        raise ValueError("spans overlap, or are out of order")
    if at is not None and spans and spans[0].first <= at:
        raise ValueError("a span lies below the position")
    if any(span.part is not None and not 0 <= span.part < parts for span in spans):
        raise ValueError("a span is of a part that is not there")
