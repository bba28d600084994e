"""What is said in the log of the lanes of a log: level, words and fields of each happening.

A lane that begins or ends is told at info: that happens when shards split or the engine starts, not all the time.
What each batch does anyway is routine, for debug.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from esm.checkpoint import Position
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import (
    Bisected,
    Committed,
    Crowded,
    DestinationFailed,
    Dropped,
    LaneEnded,
    LaneLost,
    LaneReplaced,
    LaneStarted,
    LaneStopped,
    NotMoving,
    RecordsLost,
    Retried,
    Stalled,
    Unstalled,
)
from esm.runtime.status.trouble import shown

ROUTINE: dict[type[Happening], str] = {
    Bisected: "failing batch split into two",
    Committed: "checkpoint written",
    Retried: "records are sent again",
}
_NAMED = 10


class Line(NamedTuple):
    """One line; `reason` is what makes two of the same `event` different."""

    level: str
    event: str
    reason: str
    fields: dict[str, Any]


def lane_line(told: Happening) -> Line | None:
    """What `told` is worth above debug; None if nothing, or if it is not about a lane."""
    says = _SAYS.get(type(told))
    return says(told) if says is not None else None


def position(at: Position | None) -> str | None:
    """As text: a Kinesis sequence number is more than a JSON reader keeps."""
    return None if at is None else str(at)


def _started(told: LaneStarted) -> Line:
    event = (
        "lane is read" if not told.careful else "lane is read, after a stop that was none: calls are written down"
    )
    return Line("info", event, "", {"position": position(told.at)})


def _ended(told: LaneEnded) -> Line:
    children = None if told.children is None else _some(told.children)
    return Line("info", "lane has ended and is finished", "", {"children": children})


def _given_up(told: Dropped) -> Line:
    if told.delivered_to is None:
        event = "records were given up, and there is no destination to tell"
        return Line("error", event, told.reason, {"records": told.records})
    fields = {"records": told.records, "destination": told.delivered_to}
    return Line("warning", "records were given up and sent to their destination", told.reason, fields)


def _not_delivered(told: DestinationFailed) -> Line:
    fields = {"destination": told.destination, "records": told.records, "retry_in": round(told.pause, 3)}
    return Line("error", "destination did not take what was given up", told.why, fields)


def _lost(told: RecordsLost) -> Line:
    event = "records are lost: they were trimmed before they were read"
    return Line("error", event, "", {"records": told.records or "unknown"})


def _crowded(told: Crowded) -> Line:
    event = "lane reads nothing more until a record is finished"
    fields = {"record_id": told.held_by, "key": shown(told.key), "waiting": told.records}
    return Line("warning", event, "", fields)


def _cut_off(told: Retried) -> Line | None:
    if told.reason != "crash":
        return None
    event = "records were being sent when the process ended, and are sent again"
    return Line("warning", event, "", {"records": told.records, "attempts": told.attempts})


def _not_moving(told: NotMoving) -> Line:
    return Line("warning", "lane does not move although there is data", told.why, {"seconds": round(told.seconds)})


_SAYS: dict[type[Happening], Callable[[Any], Line | None]] = {
    Crowded: _crowded,
    DestinationFailed: _not_delivered,
    Dropped: _given_up,
    LaneEnded: _ended,
    LaneLost: lambda told: Line(
        "warning",
        "lane was taken by somebody else, it is opened again if it is still ours",
        "",
        {"retry_in": round(told.pause, 3)},
    ),
    LaneReplaced: lambda _: Line(
        "warning",
        "another lane has the name of one that had ended: the stream seems to have been made anew",
        "",
        {},
    ),
    LaneStarted: _started,
    LaneStopped: lambda told: Line("info", "lane was closed", "", {"position": position(told.at)}),
    NotMoving: _not_moving,
    RecordsLost: _lost,
    Retried: _cut_off,
    Stalled: lambda told: Line("error", "lane is stalled, nothing is skipped", told.why, {}),
    Unstalled: lambda _: Line("info", "lane goes on", "", {}),
}


def _some(names: Sequence[str]) -> list[str]:
    return list(names[:_NAMED])
