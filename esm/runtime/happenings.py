"""What the engine tells its observers: one frozen value per thing that happened.

The loops call `tell(happening)` and know nothing of logs, metrics or status; those subscribe. A happening
carries everything its observers need, so that a log line and a counter can never disagree.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from esm.model import Outcome


class Happening(Struct, frozen=True):
    """Something that happened to a mapping."""

    mapping: str


class Polled(Happening, frozen=True):
    """A read came back with `records` (0 is an answer too); `oldest` is the age of its oldest, in seconds."""

    records: int
    oldest: float


class Renewed(Happening, frozen=True):
    """Records that we still hold were received again; their new receipts replaced the old ones."""

    records: int


class Rejection(Happening, frozen=True):
    """A record is too large to be sent at all; it is left to its queue."""

    record_id: str
    why: str


class Invoked(Happening, frozen=True):
    """An invocation ended. `failed` of its `records` failed; `ages` holds the age of each when it was handed
    over, `duration` the time the target took, both in seconds. `meta` is what the reply told of itself.
    """

    batch_id: str
    attempt: int
    records: int
    failed: int
    outcome: Outcome
    ages: Sequence[float]
    duration: float
    why: str
    meta: Mapping[str, str] = {}


class Paused(Happening, frozen=True):
    """A refused batch waits `pause` seconds before it is sent again; no receive count is burnt."""

    batch_id: str
    records: int
    pause: float


class CircuitOpened(Happening, frozen=True):
    """`target` refused `refusals` calls in a row: it is left alone but for probes, the first after `pause`
    seconds.
    """

    target: str
    refusals: int
    pause: float
    why: str


class CircuitClosed(Happening, frozen=True):
    """A call reached `target` again, `seconds` after its circuit opened."""

    target: str
    seconds: float


class Deleted(Happening, frozen=True):
    """Done records were deleted; `undeleted` could not be, so they will be delivered again.

    `overtook`: the ids of those that were deleted although one before them in their group could not be.
    """

    batch_id: str
    records: int
    undeleted: Sequence[str]
    overtook: Sequence[str] = ()


class Filtered(Happening, frozen=True):
    """Records that no filter lets pass; `undeleted` could not be deleted, so they will be filtered again."""

    records: int
    undeleted: Sequence[str]


class Unfilterable(Happening, frozen=True):
    """A record could not be looked at by the filters, because of an error; it is delivered."""

    record_id: str
    why: str


class Released(Happening, frozen=True):
    """Records that were never sent were given back to their queue."""

    records: int
    why: str


class LetGo(Happening, frozen=True):
    """A batch that was refused for too long is left to its queue's visibility timeout."""

    batch_id: str
    records: int


class Extended(Happening, frozen=True):
    """A heartbeat: `extended` are ours for longer, `lost` are not ours any more, for `failed` nobody answered."""

    extended: int
    lost: int
    failed: int


class QueueDepth(Happening, frozen=True):
    """What the queue says of itself: messages that wait, and that somebody holds; None where it does not tell."""

    visible: int | None
    in_flight: int | None


class SourceFailed(Happening, frozen=True):
    """The source could not be used; it is tried again after `pause` seconds."""

    code: str
    reason: str
    pause: float


class BackPressure(Happening, frozen=True):
    """The queue hands out no more until some messages are settled: no fault, but worth knowing."""

    reason: str


class SourceRecovered(Happening, frozen=True):
    """The source answers again."""


class Remarked(Happening, frozen=True):
    """A source has something to say to people."""

    text: str


class Crashed(Happening, frozen=True):
    """A lane or mapping ended with an error and is started again after `pause` seconds."""

    error: BaseException
    pause: float


class MappingState(StrEnum):
    """The states of a mapping, in the words of the AWS API (`EventSourceMappingConfiguration.State`).

    DELETED is told last of a mapping that is no longer configured: nobody shows it any more.
    """

    CREATING = "Creating"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETED = "Deleted"


class State(Happening, frozen=True):
    """The mapping is now in `state`."""

    state: MappingState


class Abandoned(Happening, frozen=True):
    """A lane ended while it held these, at its target or waiting; they come back after their timeout."""

    record_ids: Sequence[str]


Tell = Callable[[Happening], None]


def to_all(observers: Sequence[Tell]) -> Tell:
    """One `tell` that reaches every observer."""

    def tell(happening: Happening) -> None:
        for observer in observers:
            observer(happening)

    return tell
