"""What the board remembers of one mapping, and the view of it that is made when somebody looks."""

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from enum import StrEnum, auto

from esm.model import Outcome
from esm.runtime.happenings import MappingState
from esm.runtime.status.lane_notes import LaneNotes
from esm.runtime.status.trouble import Trouble, shown_meta
from esm.runtime.status.values import Counts, Depth, LastError, Live, MappingStatus


class Concern(StrEnum):
    """What there may be trouble with, each until that is well again; the first of them is shown."""

    SOURCE = auto()
    STALL = auto()
    LOSS = auto()
    ANSWER = auto()


@dataclass(slots=True)
class Row:
    """One mapping's, from the moment `since` on, in epoch seconds."""

    since: InitVar[float]
    state: MappingState = MappingState.CREATING
    state_since: float = field(init=False)
    result_since: float = field(init=False)
    worked: bool = False
    troubles: dict[Concern, Trouble] = field(default_factory=dict)
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

    def __post_init__(self, since: float) -> None:
        self.state_since = self.result_since = since

    @property
    def trouble(self) -> Trouble | None:
        """The one that is shown; may be asked in another thread."""
        return next(filter(None, map(self.troubles.get, Concern)), None)

    def judge(self, concern: Concern, trouble: Trouble | None, now: float) -> None:
        """The result has been what it is since it last changed its kind, not its wording."""
        before = self.trouble
        if trouble is None:
            self.troubles.pop(concern, None)
        else:
            self.troubles[concern] = trouble
        after = self.trouble
        if (before and before.blame) != (after and after.blame):
            self.result_since = now

    def view(self, now: float) -> MappingStatus:
        """As it is at `now`; may be called in another thread."""
        live = self.live() if self.live is not None else None
        trouble = self.trouble
        return MappingStatus(
            state=self.state,
            state_since=self.state_since,
            last_processing_result=self._result(trouble),
            result_since=self.result_since,
            blame=trouble.blame if trouble else None,
            last_error=self.last_error,
            last_reply=shown_meta(self.last_reply),
            counts=self._counts(),
            depth=Depth(self.visible, self.in_flight, self._oldest(live, now)),
            live=live,
            lanes=self.lanes.statuses(live),
            assigned=self.assigned,
        )

    def _result(self, trouble: Trouble | None) -> str:
        if trouble is not None:
            return f"PROBLEM: {trouble.text}"
        return "OK" if self.worked else "No records processed"

    def _counts(self) -> Counts:
        return Counts(
            polled=self.polled,
            filtered=self.filtered,
            invoked=self.invoked,
            failed_invoke=self.failed_invoke,
            deleted=self.deleted,
            undeleted=self.undeleted,
            released=self.released,
            invocations=dict(self.invocations),
            dropped=self.dropped,
            delivered_on_failure=self.delivered_on_failure,
            lost=self.lost,
        )

    def _oldest(self, live: Live | None, now: float) -> float | None:
        """The age that the last read saw; while records are held nothing is known to be done, so it grows.

        None for a log: its last read was of any of its lanes, and each of them tells its own age.
        """
        if self.lanes.of_a_log:
            return None
        if self.oldest is None or live is None or not (live.gathered or live.concurrency):
            return self.oldest
        return self.oldest + max(0.0, now - self.polled_at)
