"""What is wrong with a mapping, read off the happenings: in AWS's words where AWS has any. Pure.

A problem of the source and one of the answers are told apart, because they end apart: the source is well when
a read comes back, the answers when the function succeeds. AWS has no words for a lane that stands still, nor for
records that are lost.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from esm.model import Outcome
from esm.runtime.happenings import (
    Abandoned,
    Crashed,
    Deleted,
    Extended,
    Filtered,
    Happening,
    Invoked,
    LetGo,
    Rejection,
    SourceFailed,
    Unfilterable,
)
from esm.runtime.lane_happenings import (
    DestinationFailed,
    Dropped,
    LaneLost,
    NotMoving,
    RecordsLost,
    Stalled,
)

FUNCTION_FAILED = "Function call failed"
"""AWS's words for a function error (`PROBLEM: Function call failed`)."""

_REFUSALS = {
    Outcome.THROTTLED: "Target throttled",
    Outcome.MISCONFIGURED: "Target misconfigured",
    Outcome.UNREACHABLE: "Target unreachable",
}
_FAILURES = (Outcome.FUNCTION_ERROR, Outcome.TIMEOUT)
_LONGEST_TEXT = 500
_LONGEST_VALUE = 4096  # the tail of a log


class Blame(StrEnum):
    """Whose problem it is, as the metric `esm_mapping_problem` names it."""

    SOURCE = "source"
    TARGET = "target"
    FUNCTION = "function"
    CRASH = "crash"
    STALL = "stall"
    LOSS = "loss"


class Trouble(Struct, frozen=True):
    """A problem that lasts until something shows that it is over."""

    blame: Blame
    text: str


def answer_trouble(call: Invoked) -> Trouble | None:
    """The problem that this answer shows, None if the function did its work."""
    if call.outcome in _REFUSALS:
        return Trouble(Blame.TARGET, shown(complaint(call)))
    if call.outcome in _FAILURES:
        return Trouble(Blame.FUNCTION, FUNCTION_FAILED)
    return None


def source_trouble(told: SourceFailed | Crashed) -> Trouble:
    """The problem that keeps the mapping from reading."""
    blame = Blame.SOURCE if isinstance(told, SourceFailed) else Blame.CRASH
    return Trouble(blame, shown(complaint(told)))


def stall_trouble(stalled: Mapping[str, str]) -> Trouble | None:
    """The problem that keeps lanes from going on, None if `stalled`, their reasons by lane, is empty."""
    for lane, why in stalled.items():
        others = f"{len(stalled) - 1} more lanes and " if len(stalled) > 1 else ""
        return Trouble(Blame.STALL, shown(f"Stalled: {others}lane {lane}: {why}"))
    return None


def loss_trouble(told: RecordsLost) -> Trouble:
    """The mapping does not keep up with what its source forgets."""
    return Trouble(Blame.LOSS, shown(f"Records lost: {complaint(told)}"))


def reached(call: Invoked) -> bool:
    """The function was called, whatever it made of it."""
    return call.outcome not in _REFUSALS


def unsuccessful(call: Invoked) -> int:
    """How many records of this call the function did not work off.

    A refused call did not reach the function, so none of its records *failed*; AWS counts them as failed
    invokes all the same (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).
    """
    return call.failed if reached(call) else call.records


def complaint(told: Happening) -> str:
    """What went wrong, for people; empty if nothing did."""
    says = _COMPLAINTS.get(type(told))
    return says(told) if says is not None else ""


def shown(text: str) -> str:
    """At most 500 characters of a text: a function may answer with pages of it, or with half a surrogate pair."""
    text = _printable(text[: _LONGEST_TEXT + 1])
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def shown_meta(meta: Mapping[str, str]) -> dict[str, str]:
    """What a reply tells of itself, at most 4 KiB a value: headers are whatever a server writes into them."""
    return {name: _printable(value[:_LONGEST_VALUE]) for name, value in meta.items()}


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _of_answer(told: Invoked) -> str:
    if told.outcome is Outcome.SUCCESS:
        return ""
    if told.outcome in _REFUSALS:
        return _with(_REFUSALS[told.outcome], told.why)
    return _with(FUNCTION_FAILED if told.outcome in _FAILURES else "Some records failed", told.why)


def _of_heartbeat(told: Extended) -> str:
    if told.lost or told.failed:
        return f"Visibility not extended: {told.lost} records lost, {told.failed} unanswered"
    return ""


def _of_deletes(told: Deleted) -> str:
    if not told.undeleted:
        return ""
    again = f"{len(told.undeleted)} records could not be deleted and will be delivered again"
    return f"{again}, behind {len(told.overtook)} later ones of their groups" if told.overtook else again


def _of_filters(told: Filtered) -> str:
    if told.undeleted:
        return f"{len(told.undeleted)} filtered records could not be deleted and will be filtered again"
    return ""


def _of_given_up(told: Dropped) -> str:
    gone = f"{told.records} records of lane {told.lane} were given up ({told.reason})"
    return f"{gone} and sent to {told.delivered_to}" if told.delivered_to else f"{gone}, nobody is told of them"


def _of_loss(told: RecordsLost) -> str:
    if told.records:
        return f"{told.records} records of lane {told.lane} were trimmed before they were read"
    return f"lane {told.lane} was trimmed before it was read, nobody knows by how many records"


def _with(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


_COMPLAINTS: dict[type[Happening], Callable[[Any], str]] = {
    Abandoned: lambda told: f"Stopped while {len(told.record_ids)} records were held",
    Crashed: lambda told: _with(f"Internal error: {type(told.error).__name__}", str(told.error)),
    Deleted: _of_deletes,
    DestinationFailed: lambda told: _with(f"Destination {told.destination} took no notice", told.why),
    Dropped: _of_given_up,
    Extended: _of_heartbeat,
    Filtered: _of_filters,
    Invoked: _of_answer,
    LaneLost: lambda told: f"Lane {told.lane} was taken by somebody else",
    LetGo: lambda told: f"{told.records} records were refused for too long and are left to their queue",
    NotMoving: lambda told: _with(f"Lane {told.lane} did not move for {told.seconds:.0f} s", told.why),
    RecordsLost: _of_loss,
    Rejection: lambda told: _with(f"Record {told.record_id} cannot be sent", told.why),
    SourceFailed: lambda told: _with(told.code, told.reason),
    Stalled: lambda told: _with(f"Lane {told.lane} is stalled", told.why),
    Unfilterable: lambda told: _with(f"Record {told.record_id} could not be filtered", told.why),
}
