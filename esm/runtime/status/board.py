"""The one account of what the mappings are doing, from which `/status` and the gauges are read.

The board listens to happenings and keeps a row per mapping; figures that change all the time (slots, held
bytes) are not told but asked for when somebody looks, so the loops pay nothing for them. Every view is a
frozen value. Reading from another thread is safe: metrics are rendered off the event loop.
"""

from collections.abc import Callable, Mapping
from typing import Any

from esm.runtime.happenings import (
    Crashed,
    Deleted,
    Filtered,
    Happening,
    Invoked,
    MappingState,
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
from esm.runtime.status.row import Concern, Row
from esm.runtime.status.trouble import (
    Blame,
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
from esm.runtime.status.values import LastError, Live, MappingStatus

_LOSS_LASTS = 900.0


class StatusBoard:
    """Subscribes with `tell`; `wall` gives epoch seconds."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._rows: dict[str, Row] = {}
        self._notes: dict[type[Happening], Callable[[Row, Any], None]] = {
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
        """Notes what happened; a mapping never heard of gets a row, the state DELETED takes it away."""
        if isinstance(happening, State) and happening.state is MappingState.DELETED:
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
            row.judge(Concern.STALL, None, self._wall())

    def mappings(self) -> Mapping[str, MappingStatus]:
        """All mappings as they are now, by name."""
        now = self._wall()
        return {name: row.view(now) for name, row in tuple(self._rows.items())}

    def mapping(self, name: str) -> MappingStatus | None:
        """One mapping as it is now, None if there is none of that name."""
        row = self._rows.get(name)
        return None if row is None else row.view(self._wall())

    def _row(self, mapping: str) -> Row:
        row = self._rows.get(mapping)
        if row is None:
            row = self._rows[mapping] = Row(self._wall())
        return row

    def _state(self, row: Row, told: State) -> None:
        if told.state != row.state:
            row.state = told.state
            row.state_since = self._wall()

    def _polled(self, row: Row, told: Polled) -> None:
        """A read that comes back ends a problem of the source, as on AWS."""
        row.polled += told.records
        row.oldest = told.oldest if told.records else 0.0
        row.polled_at = self._wall()
        if Concern.SOURCE in row.troubles:
            row.judge(Concern.SOURCE, None, self._wall())
        if Concern.LOSS in row.troubles and row.polled_at - row.lost_at >= _LOSS_LASTS:
            row.judge(Concern.LOSS, None, self._wall())

    def _readable(self, row: Row, _: SourceRecovered) -> None:
        row.judge(Concern.SOURCE, None, self._wall())

    def _unreadable(self, row: Row, told: SourceFailed | Crashed) -> None:
        row.judge(Concern.SOURCE, source_trouble(told), self._wall())

    def _invoked(self, row: Row, told: Invoked) -> None:
        row.invoked += told.records
        row.failed_invoke += unsuccessful(told)
        row.invocations[told.outcome] += 1
        row.last_reply = told.meta
        answer = answer_trouble(told)
        if not row.worked and reached(told):
            row.worked = True
            row.result_since = self._wall()
        if answer != row.troubles.get(Concern.ANSWER):
            row.judge(Concern.ANSWER, answer, self._wall())

    def _measured(self, row: Row, told: QueueDepth) -> None:
        """An empty queue holds nothing that could fail, so a problem with its records is over.

        Otherwise a last message that went to the dead letters would leave its mapping a PROBLEM for ever.
        """
        row.visible, row.in_flight = told.visible, told.in_flight
        if told.visible == 0 and told.in_flight == 0:
            row.judge(Concern.ANSWER, None, self._wall())

    def _deleted(self, row: Row, told: Deleted) -> None:
        row.deleted += told.records
        row.undeleted += len(told.undeleted)

    def _filtered(self, row: Row, told: Filtered) -> None:
        row.filtered += told.records

    def _released(self, row: Row, told: Released) -> None:
        row.released += told.records

    def _stalled(self, row: Row, told: Stalled) -> None:
        row.lanes.stalls(told.lane, told.why)
        row.judge(Concern.STALL, stall_trouble(row.lanes.stalled), self._wall())

    def _lane_lost(self, row: Row, told: LaneLost) -> None:
        row.lanes.is_lost(told.lane)
        row.judge(Concern.STALL, stall_trouble(row.lanes.stalled), self._wall())

    def _goes_on(self, row: Row, told: LaneHappening) -> None:
        row.lanes.is_over(told.lane)
        row.judge(Concern.STALL, stall_trouble(row.lanes.stalled), self._wall())

    def _shared_out(self, row: Row, told: Rebalanced) -> None:
        row.assigned = told.ours

    def _losing(self, row: Row, told: RecordsLost) -> None:
        """A loss is over at once, but whoever loses records will again: it is shown for a quarter of an hour."""
        row.lost += told.records
        row.lost_at = self._wall()
        row.judge(Concern.LOSS, loss_trouble(told), self._wall())

    def _given_up(self, row: Row, told: Dropped) -> None:
        """What the function failed on is out of its way; AWS says OK then, too."""
        if told.delivered_to is None:
            row.dropped += told.records
        else:
            row.delivered_on_failure += told.records
        answer = row.troubles.get(Concern.ANSWER)
        if answer is not None and answer.blame is Blame.FUNCTION:
            row.judge(Concern.ANSWER, None, self._wall())
