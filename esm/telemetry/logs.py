"""Log lines: a subscriber to happenings that writes what is worth an operator's attention.

One line per thing, never one per record, and never a payload. What goes well is told at debug only: a healthy
engine is silent. The same problem of the same mapping is written once a minute, with how often it was held back.
"""

from collections.abc import Callable, Sequence
from typing import Any

from structlog.types import FilteringBoundLogger

from esm.model import Outcome, RebalanceKind
from esm.runtime.happenings import (
    Abandoned,
    BackPressure,
    CircuitClosed,
    CircuitOpened,
    Crashed,
    Deleted,
    Extended,
    Filtered,
    Happening,
    Invoked,
    LetGo,
    Paused,
    Polled,
    QueueDepth,
    Rejection,
    Released,
    Remarked,
    Renewed,
    SourceFailed,
    SourceRecovered,
    State,
    Unfilterable,
)
from esm.runtime.lane_happenings import Committed, LaneHappening, Rebalanced
from esm.runtime.status.trouble import shown
from esm.telemetry.lane_lines import ROUTINE, lane_line, position
from esm.telemetry.repeats import Repeats

_NAMED = 10
_ROUTINE: dict[type[Happening], str] = {
    Deleted: "records deleted",
    Extended: "visibility extended",
    Filtered: "records filtered out",
    Paused: "batch held",
    Polled: "source read",
    QueueDepth: "queue measured",
    Renewed: "held records received again",
    **ROUTINE,
}
_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    Outcome.PARTIAL: ("info", "some records of a batch failed"),
    Outcome.FUNCTION_ERROR: ("warning", "function call failed"),
    Outcome.TIMEOUT: ("warning", "function timed out"),
    Outcome.THROTTLED: ("warning", "target throttled, batch held"),
    Outcome.UNREACHABLE: ("warning", "target unreachable, batch held"),
    Outcome.MISCONFIGURED: ("error", "target misconfigured, batch held"),
}


class LogObserver:
    """Subscribes with `tell`; `monotonic` in seconds."""

    def __init__(self, log: FilteringBoundLogger, monotonic: Callable[[], float]) -> None:
        self._log = log
        self._monotonic = monotonic
        self._repeats = Repeats()
        self._verbose = log.is_enabled_for(10)
        self._says: dict[type[Happening], Callable[[Any], None]] = {
            Abandoned: self._abandoned,
            BackPressure: self._over_limit,
            CircuitClosed: self._circuit_closed,
            CircuitOpened: self._circuit_opened,
            Crashed: self._crashed,
            Deleted: self._deleted,
            Extended: self._extended,
            Filtered: self._filtered,
            Invoked: self._invoked,
            LetGo: self._let_go,
            Rebalanced: self._rebalanced,
            Rejection: self._rejected,
            Released: self._released,
            Remarked: self._remarked,
            SourceFailed: self._source_failed,
            SourceRecovered: self._source_recovered,
            State: self._state,
            Unfilterable: self._unfilterable,
        }

    def tell(self, happening: Happening) -> None:
        """Writes a line if it is worth one."""
        says = self._says.get(type(happening))
        if says is not None:
            says(happening)
        elif isinstance(happening, LaneHappening):
            self._lane(happening)
        if self._verbose and type(happening) in _ROUTINE:
            self._log.debug(_ROUTINE[type(happening)], **_fields(happening))

    def _write(self, level: str, event: str, told: Happening, reason: str = "", **fields: Any) -> None:
        """Once a minute for the same mapping, lane, event and reason; the other fields may differ."""
        same = (told.mapping, fields.get("lane"), event, reason)
        held_back = self._repeats.worth(same, self._monotonic())
        if held_back is None:
            return
        if reason:
            fields["reason"] = shown(reason)
        if held_back:
            fields["repeated"] = held_back
        getattr(self._log, level)(event, mapping=told.mapping, **fields)

    def _lane(self, told: LaneHappening) -> None:
        line = lane_line(told)
        if line is not None:
            self._write(line.level, line.event, told, line.reason, lane=told.lane, **line.fields)

    def _rebalanced(self, told: Rebalanced) -> None:
        """Each of them, because they explain what came twice."""
        say = self._log.warning if told.kind is RebalanceKind.LOST else self._log.info
        event = f"the group shares its partitions out: {told.kind}"
        say(event, mapping=told.mapping, lanes=_some(told.lanes), ours=told.ours)

    def _remarked(self, told: Remarked) -> None:
        self._write("warning", "the source has something to say", told, told.text)

    def _invoked(self, told: Invoked) -> None:
        if told.outcome is Outcome.SUCCESS:
            if self._verbose:
                self._log.debug("function called", mapping=told.mapping, **_call(told))
            return
        level, event = _OUTCOMES[told.outcome]
        self._write(level, event, told, told.why, **_call(told))

    def _deleted(self, told: Deleted) -> None:
        if told.undeleted:
            self._write(
                "error",
                "processed records could not be deleted and will be delivered again",
                told,
                batch_id=told.batch_id,
                deleted=told.records,
                undeleted=len(told.undeleted),
                record_ids=_some(told.undeleted),
                overtaken_by=_some(told.overtook),
            )

    def _extended(self, told: Extended) -> None:
        if told.lost or told.failed:
            self._write(
                "warning",
                "visibility could not be extended",
                told,
                extended=told.extended,
                lost=told.lost,
                failed=told.failed,
            )

    def _filtered(self, told: Filtered) -> None:
        if told.undeleted:
            self._write(
                "warning",
                "filtered records could not be deleted and will be filtered again",
                told,
                undeleted=len(told.undeleted),
                record_ids=_some(told.undeleted),
            )

    def _unfilterable(self, told: Unfilterable) -> None:
        event = "record could not be filtered, so it is delivered"
        self._write("error", event, told, told.why, record_id=told.record_id)

    def _released(self, told: Released) -> None:
        self._write("info", "unsent records given back", told, told.why, records=told.records)

    def _let_go(self, told: LetGo) -> None:
        event = "batch refused for too long, left to its queue"
        self._write("warning", event, told, batch_id=told.batch_id, records=told.records)

    def _rejected(self, told: Rejection) -> None:
        self._write(
            "warning", "record cannot be sent, left to its queue", told, told.why, record_id=told.record_id
        )

    def _circuit_opened(self, told: CircuitOpened) -> None:
        event = "target refused every call, left alone but for probes"
        pause = round(told.pause, 3)
        self._write("error", event, told, told.why, target=told.target, refusals=told.refusals, probe_in=pause)

    def _circuit_closed(self, told: CircuitClosed) -> None:
        event = "target can be called again"
        self._write("info", event, told, target=told.target, after=round(told.seconds, 3))

    def _source_failed(self, told: SourceFailed) -> None:
        self._write(
            "error", "source cannot be used", told, told.reason, error=told.code, retry_in=round(told.pause, 3)
        )

    def _over_limit(self, told: BackPressure) -> None:
        self._write("warning", "queue hands out no more until some messages are settled", told, told.reason)

    def _source_recovered(self, told: SourceRecovered) -> None:
        self._write("info", "source can be used again", told)

    def _crashed(self, told: Crashed) -> None:
        reason = f"{type(told.error).__name__}: {told.error}"
        event = "internal error, the mapping starts again"
        self._write("error", event, told, reason, retry_in=round(told.pause, 3), exc_info=told.error)

    def _state(self, told: State) -> None:
        self._log.info("mapping changed its state", mapping=told.mapping, state=told.state.value)

    def _abandoned(self, told: Abandoned) -> None:
        self._log.warning(
            "lane ended with records in hand; they come back after their timeout",
            mapping=told.mapping,
            records=len(told.record_ids),
            record_ids=_some(told.record_ids),
        )


def _fields(told: Happening) -> dict[str, Any]:
    fields = {name: getattr(told, name) for name in told.__struct_fields__}
    return fields | {"at": position(told.at)} if isinstance(told, Committed) else fields


def _call(told: Invoked) -> dict[str, Any]:
    return {
        "batch_id": told.batch_id,
        "attempt": told.attempt,
        "records": told.records,
        "failed": told.failed,
        "outcome": told.outcome.value,
        "duration": round(told.duration, 3),
    }


def _some(ids: Sequence[str]) -> list[str]:
    return list(ids[:_NAMED])
