"""Rows of lanes in words."""

from collections.abc import Iterator
from datetime import UTC, datetime

from esm.checkpoint import Budget, Checkpoint, LaneRow, Position, Span, Start
from esm.core.log.lineage import EVERY_LANE
from esm.core.log.moving import spans_of


def state_of(row: LaneRow, *, in_use: bool) -> str:
    """How the lane was left. `in_use`: an engine seems to work on it."""
    checkpoint = row.checkpoint
    if row.lane == EVERY_LANE:
        return "where lanes begin"
    if checkpoint is None:
        return "not begun"
    if checkpoint.ended:
        return "finished"
    if checkpoint.clean:
        return "stopped"
    return "running" if in_use else "not closed (killed?)"


def standing(row: LaneRow) -> str:
    """Up to where it is finished, or where it begins."""
    if row.known.at is not None:
        return str(row.known.at)
    return "as the mapping" if row.start is None else beginning(row.start)


def beginning(start: Start) -> str:
    return "the oldest record" if start.time is None else f"what came since {moment(start.time)}"


def onward(to: Position | Start) -> str:
    """Where a lane goes on."""
    return beginning(to) if isinstance(to, Start) else f"what is behind {to}"


def moment(time: float) -> str:
    """Epoch seconds, in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def budget(part: Budget) -> str:
    """What a part has used up."""
    since = f", first failed {moment(part.first_failed)}" if part.first_failed is not None else ""
    cuts = f", cut off by {_counted(part.cuts, 'crash', 'crashes')}" if part.cuts else ""
    sent = ", being sent when this was written" if part.in_flight else ""
    given_up = ", given up: it goes to the destination" if part.given_up else ""
    return f"{_counted(part.attempts, 'attempt', 'attempts')}{since}{cuts}{sent}{given_up}"


def whole(row: LaneRow) -> Iterator[tuple[str, str]]:
    """All that a row says, as titles and texts."""
    yield "position", standing(row)
    yield "owner", f"{row.owner or '-'}, number {row.epoch}, {_counted(row.counter, 'write', 'writes')} since"
    if row.start is not None:
        yield "begins at", beginning(row.start)
    for number, part in enumerate(row.known.parts):
        yield f"part {number}", f"{extent(row.known, number)}: {budget(part)}"
    if row.known.settled:
        yield "done above", "; ".join(map(_span, row.known.settled))


def extent(checkpoint: Checkpoint, number: int) -> str:
    """Where the records of a part are."""
    return "; ".join(map(_span, spans_of(checkpoint, number)))


def pending(row: LaneRow) -> str:
    """What of a lane is above its position, in short; empty if nothing is."""
    batches, done = len(row.known.parts), len(row.known.settled)
    parts = _counted(batches, "pending batch", "pending batches") if batches else ""
    return ", ".join(filter(None, [parts, _counted(done, "span", "spans") + " done above it" if done else ""]))


def _span(span: Span) -> str:
    return str(span.first) if span.first == span.last else f"{span.first} to {span.last}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
