"""The moment that a stream is read from, where a mapping has no position yet."""

from esm.checkpoint import Start
from esm.errors import Disconnected
from esm.sources.begin import Begin, StartingPosition


def start_of(begin: Begin, now: float) -> Start:
    """`now` is the service's time in epoch seconds. Raises `Disconnected` for a time that is still to come."""
    match begin.position:
        case StartingPosition.TRIM_HORIZON:
            return Start()
        case StartingPosition.LATEST:
            return Start(now)
        case StartingPosition.AT_TIMESTAMP:
            return Start(_past(begin.time, now))


def _past(time: float | None, now: float) -> float | None:
    if time is not None and time > now + 1:  # a second that has begun
        raise Disconnected("InvalidArgument", "StartingPositionTimestamp is in the future", lasting=True)
    return time
