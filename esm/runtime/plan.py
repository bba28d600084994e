"""What the engine is asked to run: the desired state, already validated and free of YAML.

Configuration is turned into these values once (`config.assemble`); the engine never reads options itself.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from esm.core.filtering import FilterSet
from esm.ports import Pace, QueueSource, Target


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
class MappingPlan:
    """One mapping: a source, the name of its target, and how. Without `filters` every record is delivered."""

    name: str
    id: str
    enabled: bool
    source: QueueSource
    target: str
    options: QueueOptions
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

    `memory_limit` bounds the bytes held over all mappings, `maximum_concurrency` the batches at all targets.
    """

    mappings: Mapping[str, MappingPlan]
    targets: Mapping[str, TargetPlan]
    memory_limit: int
    maximum_concurrency: int | None = None
