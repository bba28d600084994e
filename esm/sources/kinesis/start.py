"""Where a mapping begins, in AWS's words: `StartingPosition` and `StartingPositionTimestamp`."""

from enum import StrEnum

from msgspec import Struct

from esm.checkpoint import Start
from esm.errors import Disconnected


class StartingPosition(StrEnum):
    """What a stream can begin at."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


class Begin(Struct, frozen=True):
    """A position, with a time in epoch seconds where it is AT_TIMESTAMP."""

    position: StartingPosition
    time: float | None = None

    def resolved(self, now: float) -> Start:
        """`now` is the service's time in epoch seconds. Raises `Disconnected` for a time that is still to come."""
        match self.position:
            case StartingPosition.TRIM_HORIZON:
                return Start()
            case StartingPosition.LATEST:
                return Start(now)
            case StartingPosition.AT_TIMESTAMP:
                return Start(self._past(now))

    def _past(self, now: float) -> float | None:
        if self.time is not None and self.time > now + 1:  # a second that has begun
            raise Disconnected("InvalidArgument", "StartingPositionTimestamp is in the future", lasting=True)
        return self.time


def begin_at(position: str | None, time: float | None) -> Begin:
    """Raises ValueError, with a text for people, for what makes no sense on a Kinesis stream."""
    if position not in list(StartingPosition):
        allowed = ", ".join(StartingPosition)
        raise ValueError(f"a Kinesis stream needs a starting_position of {allowed}")
    if position == StartingPosition.AT_TIMESTAMP and time is None:
        raise ValueError(
            "starting_position AT_TIMESTAMP needs starting_position_timestamp: epoch seconds, or text such as "
            "2026-01-31T08:00:00Z"
        )
    if position != StartingPosition.AT_TIMESTAMP and time is not None:
        raise ValueError("starting_position_timestamp goes with starting_position AT_TIMESTAMP, and only with it")
    return Begin(StartingPosition(position), time)
