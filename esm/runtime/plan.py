"""What the engine is asked to run: the desired state, already validated and free of YAML.

Configuration is turned into these values once (`config.assemble`); the engine never reads options itself.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from esm.core.filtering import FilterSet
from esm.ports import Destination, GroupSource, LaneStore, LogSource, Pace, QueueSource, Target


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How one queue is driven. Durations in seconds.

    `concurrency` is the ceiling of batches in flight; `starts_at` where it begins, which is also where an idle
    mapping returns to. `wait` is the length of a long poll. `max_hold` bounds how long a refused batch is kept.
    `whole_groups`: a failure in a group fails the rest of it (`fifo_failure: group`).
    """

    batch_size: int = 10
    window: float = 0.0
    reports_failures: bool = False
    whole_groups: bool = False
    concurrency: int = 100
    starts_at: int = 5
    minimum_pollers: int = 1
    maximum_pollers: int = 32
    wait: float = 20.0
    max_hold: float = 3600.0


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """One mapping over a queue. Without `filters` every record is delivered."""

    name: str
    id: str
    enabled: bool
    source: QueueSource
    target: str
    options: QueueOptions
    filters: FilterSet | None = None


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How the lanes of one log are driven. Durations in seconds.

    `parallelization_factor` is the batches of a lane in flight at once, order kept per key.
    `maximum_retry_attempts` counts beyond the first delivery; it and `maximum_record_age` are None for no limit.
    `bisect` and `reports_failures` as on AWS. `checkpoint_interval` bounds how long what is finished stays
    unwritten; `wait` is how long a read may wait for its first record.
    """

    batch_size: int = 100
    window: float = 0.0
    parallelization_factor: int = 1
    maximum_retry_attempts: int | None = None
    maximum_record_age: float | None = None
    bisect: bool = False
    reports_failures: bool = False
    checkpoint_interval: float = 1.0
    wait: float = 1.0


@dataclass(frozen=True, slots=True)
class DestinationPlan:
    """One on-failure destination; `name` is what happenings and metrics call it.

    `patience`: seconds after which one delivery counts as failed, for a destination whose own limits do not hold.
    """

    name: str
    open: Callable[[], AbstractAsyncContextManager[Destination]]
    patience: float = 120.0


@dataclass(frozen=True, slots=True)
class LogPlan:
    """One mapping over a log. `on_failure` is the destination and its fallbacks, in that order.

    `function` stands for AWS's functionArn in an invocation record, `annotate` adds our extension to it. Without
    `filters` every record is delivered.
    """

    name: str
    id: str
    enabled: bool
    source: LogSource | GroupSource
    target: str
    options: LogOptions
    on_failure: Sequence[DestinationPlan] = ()
    function: str = ""
    annotate: bool = False
    filters: FilterSet | None = None


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target. `reserved_concurrency` caps all mappings that name it together, `pace` spaces their calls."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Target]]
    reserved_concurrency: int | None = None
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """Everything one process runs.

    `memory_limit` bounds the bytes held over all mappings, `maximum_concurrency` the batches at all targets. A log
    needs a `store`, opened once for all of them.
    """

    mappings: Mapping[str, QueuePlan | LogPlan]
    targets: Mapping[str, TargetPlan]
    memory_limit: int
    maximum_concurrency: int | None = None
    store: Callable[[], AbstractAsyncContextManager[LaneStore]] | None = None
