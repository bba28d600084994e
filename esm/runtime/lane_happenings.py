"""What happens in the lanes of a log, and to them, beside what happens in any mapping (see `happenings`)."""

from collections.abc import Sequence

from esm.checkpoint import Position
from esm.model import RebalanceKind
from esm.runtime.happenings import Happening


class LaneHappening(Happening, frozen=True):
    """Something that happened to one lane of a mapping."""

    lane: str


class LaneStarted(LaneHappening, frozen=True):
    """A lane is read on behind `at`, None for its start. `careful`: it was not closed the last time."""

    at: Position | None
    careful: bool


class LaneEnded(LaneHappening, frozen=True):
    """A closed lane is finished and written down; `children` go on, None where the source does not tell."""

    children: Sequence[str] | None


class LaneStopped(LaneHappening, frozen=True):
    """A lane was closed at `at`, to be opened again some day."""

    at: Position | None


class LaneReplaced(LaneHappening, frozen=True):
    """Another lane has the name of one that ended, and is read from where the mapping begins."""


class LaneLost(LaneHappening, frozen=True):
    """Somebody else wrote the lane's row; it is taken again after `pause` seconds."""

    pause: float


class Retried(LaneHappening, frozen=True):
    """Records are sent again after `pause` seconds; `reason` is the outcome they had, or "crash"."""

    batch_id: str
    records: int
    reason: str
    attempts: int
    pause: float


class Bisected(LaneHappening, frozen=True):
    """A failing batch of `records` was split into two."""

    batch_id: str
    records: int


class Dropped(LaneHappening, frozen=True):
    """Records were given up; `reason` is AWS's condition, `delivered_to` the destination that knows of them.

    None if the mapping has none: then nobody does.
    """

    records: int
    reason: str
    delivered_to: str | None


class DestinationFailed(LaneHappening, frozen=True):
    """A destination did not take a notice of `records`; that is tried again, or the next one, after `pause`."""

    destination: str
    records: int
    why: str
    pause: float


class Stalled(LaneHappening, frozen=True):
    """A lane cannot go on, because its store or every destination fails; nothing is skipped."""

    why: str


class Unstalled(LaneHappening, frozen=True):
    """It goes on."""


class Crowded(LaneHappening, frozen=True):
    """A lane reads nothing more until the record `held_by` is finished: too much is waiting behind it.

    `key` is that record's ordering key, empty where the source keeps no order.
    """

    held_by: str
    key: str
    records: int


class Committed(LaneHappening, frozen=True):
    """A checkpoint is durable. `parts` are failing, `spans` say what became of the records above `at`."""

    at: Position | None
    spans: int
    parts: int


class RecordsLost(LaneHappening, frozen=True):
    """Records were trimmed before they were read; 0 if nobody knows how many."""

    records: int


class NotMoving(LaneHappening, frozen=True):
    """There is data, and for `seconds` neither the mark nor an invocation has moved."""

    seconds: float
    why: str


class Rebalanced(Happening, frozen=True):
    """A group shares its lanes out anew: what became of `lanes`; we have `ours` now."""

    kind: RebalanceKind
    lanes: Sequence[str]
    ours: int
