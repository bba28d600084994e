"""Where a mapping begins that has no position yet, in AWS's words: `StartingPosition` and its timestamp."""

from enum import StrEnum

from msgspec import Struct

from esm.plugins import SourceContext


class StartingPosition(StrEnum):
    """What a stream or a topic can begin at."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


class Begin(Struct, frozen=True):
    """A position, with a time in epoch seconds where it is AT_TIMESTAMP."""

    position: StartingPosition
    time: float | None = None


def begin_of(context: SourceContext, source: str) -> Begin:
    """Raises ValueError, with a text for people, for what makes no sense on such a source."""
    position, time = context.starting_position, context.starting_position_timestamp
    if position not in list(StartingPosition):
        raise ValueError(f"a {source} needs a starting_position of {', '.join(StartingPosition)}")
    if position == StartingPosition.AT_TIMESTAMP and time is None:
        raise ValueError(
            "starting_position AT_TIMESTAMP needs starting_position_timestamp: epoch seconds, or text such as "
            "2026-01-31T08:00:00Z"
        )
    if position != StartingPosition.AT_TIMESTAMP and time is not None:
        raise ValueError("starting_position_timestamp goes with starting_position AT_TIMESTAMP, and only with it")
    return Begin(StartingPosition(position), time)
