"""What each mapping is doing now, as `/status` and the gauges show it: frozen values, in AWS's words.

The board (`board`) makes them; nothing here changes.
"""

from collections.abc import Mapping

from msgspec import Struct

from esm.runtime.trouble import Blame

STATES = ("Creating", "Enabled", "Disabling", "Disabled")
"""The states a mapping is shown in, words of the AWS API (`EventSourceMappingConfiguration.State`)."""

DELETED = "Deleted"
"""The state that is told last of a mapping that is no longer configured: nobody shows it any more."""


class Live(Struct, frozen=True):
    """Figures of a running mapping, taken when somebody looks.

    `concurrency`: batches in flight, of at most `concurrency_limit` now; `pollers`: receive loops; `held_bytes`:
    what is held in memory; `gathered`: how many of the held records were not sent yet; `circuit_open`: the target
    refused so often that it is left alone but for probes.
    """

    concurrency: int = 0
    concurrency_limit: int = 0
    pollers: int = 0
    held_bytes: int = 0
    gathered: int = 0
    circuit_open: bool = False


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
    difference is what the function worked off. `filtered` is in neither, nor in `deleted`.
    """

    polled: int
    filtered: int
    invoked: int
    failed_invoke: int
    deleted: int
    undeleted: int
    released: int
    invocations: Mapping[str, int]


class Depth(Struct, frozen=True):
    """What waits in the source, None where it does not tell; `oldest` is an age in seconds."""

    visible: int | None
    in_flight: int | None
    oldest: float | None


class MappingStatus(Struct, frozen=True):
    """One mapping at one moment. `state_since` and `result_since` are epoch seconds.

    `last_processing_result` is "No records processed", "OK" or "PROBLEM: …", the words of AWS's
    `GetEventSourceMapping`; `blame` says whose problem it is. `last_reply` is what the latest reply told of
    itself. `live` is None while nothing runs.
    """

    state: str
    state_since: float
    last_processing_result: str
    result_since: float
    blame: Blame | None
    last_error: LastError | None
    last_reply: Mapping[str, str]
    counts: Counts
    depth: Depth
    live: Live | None
