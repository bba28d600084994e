"""What each mapping is doing now, as `/status` and the gauges show it: frozen values, in AWS's words.

The board (`board`) makes them; nothing here changes.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from esm.runtime.happenings import MappingState
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.trouble import Blame

STATES = tuple(state for state in MappingState if state is not MappingState.DELETED)
"""The states a mapping is shown in."""


class LaneState(StrEnum):
    """The states of a log's lane, from well to ill; a later one that holds hides the earlier.

    LOST: somebody else writes its row.
    """

    READING = "Reading"
    OPENING = "Opening"
    RETRYING = "Retrying"
    CROWDED = "Crowded"
    STALLED = "Stalled"
    LOST = "Lost"


class Live(Struct, frozen=True):
    """Figures of a running mapping, taken when somebody looks.

    `concurrency`: batches in flight, of at most `concurrency_limit` now; `pollers`: receive loops; `held_bytes`:
    what is held in memory; `gathered`: how many of the held records were not sent yet; `circuit_open`: the target
    refused so often that it is left alone but for probes. `lanes`: those of a log that are open, by name.
    """

    concurrency: int = 0
    concurrency_limit: int = 0
    pollers: int = 0
    held_bytes: int = 0
    gathered: int = 0
    circuit_open: bool = False
    lanes: Mapping[str, LaneFigures] = {}


class LastError(Struct, frozen=True):
    """The latest thing that went wrong, at epoch seconds `at`; it stays when the mapping is well again.

    `meta` is what the reply told of itself, if it was one: request id, executed version, the tail of the log.
    """

    text: str
    at: float
    meta: Mapping[str, str] = {}


class Counts(Struct, frozen=True):
    """Records since the process started, named after AWS's event source mapping metrics.

    `invoked` counts a record each time it is sent, `failed_invoke` each time that came to nothing: the
    difference is what the function worked off. `filtered` is in neither, nor in `deleted`. Of a log: `dropped`
    were given up and no destination knows of them, `delivered_on_failure` were given up and one does, `lost`
    were trimmed before they were read, as far as their number is known.
    """

    polled: int
    filtered: int
    invoked: int
    failed_invoke: int
    deleted: int
    undeleted: int
    released: int
    invocations: Mapping[str, int]
    dropped: int = 0
    delivered_on_failure: int = 0
    lost: int = 0


class Depth(Struct, frozen=True):
    """What waits in the source, None where it does not tell; `oldest` is an age in seconds."""

    visible: int | None
    in_flight: int | None
    oldest: float | None


class LaneStatus(Struct, frozen=True):
    """One lane of a log."""

    state: LaneState
    figures: LaneFigures


class MappingStatus(Struct, frozen=True):
    """One mapping at one moment. `state_since` and `result_since` are epoch seconds.

    `last_processing_result` is "No records processed", "OK" or "PROBLEM: …", the words of AWS's
    `GetEventSourceMapping`; `blame` says whose problem it is. `last_reply` is what the latest reply told of
    itself. `live` is None while nothing runs. `lanes` are those of a log, by name; `assigned` is how many of them
    a group has given to us, None for what is no group's.
    """

    state: MappingState
    state_since: float
    last_processing_result: str
    result_since: float
    blame: Blame | None
    last_error: LastError | None
    last_reply: Mapping[str, str]
    counts: Counts
    depth: Depth
    live: Live | None
    lanes: Mapping[str, LaneStatus] = {}
    assigned: int | None = None
