"""The one account of what the mappings are doing, from which `/status` and the gauges are read.

The board listens to happenings and keeps a row per mapping; figures that change all the time (slots, held
bytes) are not told but asked for when somebody looks, so the loops pay nothing for them. Every view is a
frozen value. Reading from another thread is safe: metrics are rendered off the event loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from esm.model import Outcome
from esm.runtime.happenings import (
    Crashed,
    Deleted,
    Filtered,
    Happening,
    Invoked,
    Polled,
    QueueDepth,
    Released,
    SourceFailed,
    SourceRecovered,
    State,
)
from esm.runtime.lane_happenings import (
    Dropped,
    LaneEnded,
    LaneHappening,
    LaneLost,
    LaneStarted,
    LaneStopped,
    Rebalanced,
    RecordsLost,
    Stalled,
    Unstalled,
)
from esm.runtime.status.lane_notes import LaneNotes
from esm.runtime.status.trouble import (
    Blame,
    Trouble,
    answer_trouble,
    complaint,
    loss_trouble,
    reached,
    shown,
    shown_meta,
    source_trouble,
    stall_trouble,
    unsuccessful,
)
from esm.runtime.status.values import DELETED, STATES, Counts, Depth, LastError, Live, MappingStatus

_HIDING = ("source", "stall", "loss", "answer")
_LOSS_LASTS = 900.0


@dataclass(slots=True)
class _Row:
    """What is remembered of one mapping; of its `troubles`, in the order of `_HIDING`, the first is shown."""

    state: str
    state_since: float
    result_since: float
    worked: bool = False
    troubles: dict[str, Trouble | None] = field(default_factory=lambda: dict.fromkeys(_HIDING))
    last_error: LastError | None = None
    last_reply: Mapping[str, str] = field(default_factory=dict)
    polled: int = 0
    filtered: int = 0
    invoked: int = 0
    failed_invoke: int = 0
    deleted: int = 0
    undeleted: int = 0
    released: int = 0
    invocations: dict[str, int] = field(default_factory=lambda: {outcome.value: 0 for outcome in Outcome})
    visible: int | None = None
    in_flight: int | None = None
    oldest: float | None = None
    assigned: int | None = None
    polled_at: float = 0.0
    live: Callable[[], Live] | None = None
    lanes: LaneNotes = field(default_factory=LaneNotes)
    dropped: int = 0
    delivered_on_failure: int = 0
    lost: int = 0
    lost_at: float = 0.0

    @property
    def trouble(self) -> Trouble | None:
        return next(filter(None, self.troubles.values()), None)

    @property
    def result(self) -> str:
        if self.trouble is not None:
            return f"PROBLEM: {self.trouble.text}"
        return "OK" if self.worked else "No records processed"


class StatusBoard:
    """Subscribes with `tell`; `wall` gives epoch seconds."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._rows: dict[str, _Row] = {}
        self._notes: dict[type[Happening], Callable[[_Row, Any], None]] = {
            Crashed: self._unreadable,
            Deleted: self._deleted,
            Dropped: self._given_up,
            Filtered: self._filtered,
            Invoked: self._invoked,
            LaneEnded: self._goes_on,
            LaneLost: self._lane_lost,
            LaneStarted: self._goes_on,
            LaneStopped: self._goes_on,
            Polled: self._polled,
            QueueDepth: self._measured,
            Rebalanced: self._shared_out,
            RecordsLost: self._losing,
            Released: self._released,
            SourceFailed: self._unreadable,
            SourceRecovered: self._readable,
            Stalled: self._stalled,
            State: self._state,
            Unstalled: self._goes_on,
        }

    def tell(self, happening: Happening) -> None:
        """Notes what happened; a mapping never heard of gets a row, State "Deleted" takes it away."""
        if isinstance(happening, State) and happening.state == DELETED:
            self._rows.pop(happening.mapping, None)
            return
        row = self._row(happening.mapping)
        if note := self._notes.get(type(happening)):
            note(row, happening)
        if wrong := complaint(happening):
            meta = shown_meta(happening.meta) if isinstance(happening, Invoked) else {}
            row.last_error = LastError(shown(wrong), self._wall(), meta)

    def attach(self, mapping: str, live: Callable[[], Live]) -> None:
        """From now on `live` gives the mapping's figures; it only reads, and may be called in another thread."""
        self._row(mapping).live = live

    def detach(self, mapping: str) -> None:
        """The mapping does not run any more, so what its queue said last is out of date."""
        row = self._rows.get(mapping)
        if row is not None:
            row.live = row.visible = row.in_flight = row.oldest = row.assigned = None
            row.lanes = LaneNotes()
            self._judge(row, "stall", None)

    def mappings(self) -> Mapping[str, MappingStatus]:
        """All mappings as they are now, by name."""
        now = self._wall()
        return {name: _view(row, now) for name, row in tuple(self._rows.items())}

    def mapping(self, name: str) -> MappingStatus | None:
        """One mapping as it is now, None if there is none of that name."""
        row = self._rows.get(name)
        return None if row is None else _view(row, self._wall())

    def _row(self, mapping: str) -> _Row:
        row = self._rows.get(mapping)
        if row is None:
            now = self._wall()
            row = self._rows[mapping] = _Row(STATES[0], now, now)
        return row

    def _judge(self, row: _Row, kind: str, trouble: Trouble | None) -> None:
        """The result has been what it is since it last changed its kind, not its wording."""
        before = row.trouble and row.trouble.blame
        row.troubles[kind] = trouble
        if before != (row.trouble and row.trouble.blame):
            row.result_since = self._wall()

    def _state(self, row: _Row, told: State) -> None:
        if told.state != row.state:
            row.state = told.state
            row.state_since = self._wall()

    def _polled(self, row: _Row, told: Polled) -> None:
        """A read that comes back ends a problem of the source, as on AWS."""
        row.polled += told.records
        row.oldest = told.oldest if told.records else 0.0
        row.polled_at = self._wall()
        if row.troubles["source"] is not None:
            self._judge(row, "source", None)
        if row.troubles["loss"] is not None and row.polled_at - row.lost_at >= _LOSS_LASTS:
            self._judge(row, "loss", None)

    def _readable(self, row: _Row, _: SourceRecovered) -> None:
        self._judge(row, "source", None)

    def _unreadable(self, row: _Row, told: SourceFailed | Crashed) -> None:
        self._judge(row, "source", source_trouble(told))

    def _invoked(self, row: _Row, told: Invoked) -> None:
        row.invoked += told.records
        row.failed_invoke += unsuccessful(told)
        row.invocations[told.outcome] += 1
        row.last_reply = told.meta
        answer = answer_trouble(told)
        if not row.worked and reached(told):
            row.worked = True
            row.result_since = self._wall()
        if answer != row.troubles["answer"]:
            self._judge(row, "answer", answer)

    def _measured(self, row: _Row, told: QueueDepth) -> None:
        """An empty queue holds nothing that could fail, so a problem with its records is over.

        Otherwise a last message that went to the dead letters would leave its mapping a PROBLEM for ever.
        """
        row.visible, row.in_flight = told.visible, told.in_flight
        if told.visible == 0 and told.in_flight == 0:
            self._judge(row, "answer", None)

    def _deleted(self, row: _Row, told: Deleted) -> None:
        row.deleted += told.records
        row.undeleted += len(told.undeleted)

    def _filtered(self, row: _Row, told: Filtered) -> None:
        row.filtered += told.records

    def _released(self, row: _Row, told: Released) -> None:
        row.released += told.records

    def _stalled(self, row: _Row, told: Stalled) -> None:
        row.lanes.stalls(told.lane, told.why)
        self._judge(row, "stall", stall_trouble(row.lanes.stalled))

    def _lane_lost(self, row: _Row, told: LaneLost) -> None:
        row.lanes.is_lost(told.lane)
        self._judge(row, "stall", stall_trouble(row.lanes.stalled))

    def _goes_on(self, row: _Row, told: LaneHappening) -> None:
        row.lanes.is_over(told.lane)
        self._judge(row, "stall", stall_trouble(row.lanes.stalled))

    def _shared_out(self, row: _Row, told: Rebalanced) -> None:
        row.assigned = told.ours

    def _losing(self, row: _Row, told: RecordsLost) -> None:
        """A loss is over at once, but whoever loses records will again: it is shown for a quarter of an hour."""
        row.lost += told.records
        row.lost_at = self._wall()
        self._judge(row, "loss", loss_trouble(told))

    def _given_up(self, row: _Row, told: Dropped) -> None:
        """What the function failed on is out of its way; AWS says OK then, too."""
        if told.delivered_to is None:
            row.dropped += told.records
        else:
            row.delivered_on_failure += told.records
        answer = row.troubles["answer"]
        if answer is not None and answer.blame is Blame.FUNCTION:
            self._judge(row, "answer", None)


def _view(row: _Row, now: float) -> MappingStatus:
    live = row.live() if row.live is not None else None
    return MappingStatus(
        state=row.state,
        state_since=row.state_since,
        last_processing_result=row.result,
        result_since=row.result_since,
        blame=row.trouble.blame if row.trouble else None,
        last_error=row.last_error,
        last_reply=shown_meta(row.last_reply),
        counts=Counts(
            polled=row.polled,
            filtered=row.filtered,
            invoked=row.invoked,
            failed_invoke=row.failed_invoke,
            deleted=row.deleted,
            undeleted=row.undeleted,
            released=row.released,
            invocations=dict(row.invocations),
            dropped=row.dropped,
            delivered_on_failure=row.delivered_on_failure,
            lost=row.lost,
        ),
        depth=Depth(row.visible, row.in_flight, _oldest(row, live, now)),
        live=live,
        lanes=row.lanes.statuses(live),
        assigned=row.assigned,
    )


def _oldest(row: _Row, live: Live | None, now: float) -> float | None:
    """The age that the last read saw; while records are held nothing is known to be done, so it grows.

    None for a log: its last read was of any of its lanes, and each of them tells its own age.
    """
    if row.lanes.of_a_log:
        return None
    if row.oldest is None or live is None or not (live.gathered or live.concurrency):
        return row.oldest
    return row.oldest + max(0.0, now - row.polled_at)
