"""The options of a mapping from a queue: AWS's, with AWS's ranges and defaults, and a few of our own.

What depends on the kind of queue or on several options together is in `rules`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from esm.config.filters import FilterCriteria
from esm.options import Duration, Options

DEFAULT_CONCURRENCY = 100
LONGEST_HOLD = 43_200
_AWS_MINIMUM_POLLERS = 2
_AWS_MAXIMUM_POLLERS = 200


def whole_seconds(value: float) -> float:
    """Raises ValueError for a part of a second."""
    if not value.is_integer():
        raise ValueError("has to be whole seconds, as on AWS")
    return value


def _no_bool(value: object) -> object:
    """YAML's `true` would count as 1."""
    if isinstance(value, bool):
        raise ValueError("is not allowed: has to be a number")  # noqa: TRY004 - pydantic collects ValueError only
    return value


Count = Annotated[int, BeforeValidator(_no_bool)]
Rate = Annotated[float, BeforeValidator(_no_bool)]
ResponseTypes = Annotated[tuple[Literal["ReportBatchItemFailures"], ...], Field(max_length=1)]
Window = Annotated[Duration, Field(ge=0, le=300, allow_inf_nan=False), AfterValidator(whole_seconds)]


class ScalingConfig(Options):
    """A ceiling for the batches in flight; `{}` is none."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    maximum_concurrency: Annotated[Count, Field(ge=2, le=1000)] | None = None
    """Batches in flight at most, 2 to 1000."""


class ProvisionedPollerConfig(Options):
    """Fixed bounds for the receive loops; `{}` lets them follow the backlog."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    minimum_pollers: Annotated[Count, Field(ge=2, le=200)] | None = None
    """Receive loops at least, 2 to 200; 2 if only the maximum is given."""

    maximum_pollers: Annotated[Count, Field(ge=2, le=10_000)] | None = None
    """Receive loops at most, 2 to 10000; 200 if only the minimum is given."""

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Least and most, None if neither is given; a missing one is AWS's default, as far as it fits."""
        if self.minimum_pollers is None and self.maximum_pollers is None:
            return None
        least = self.minimum_pollers or _AWS_MINIMUM_POLLERS
        return least, self.maximum_pollers or max(least, _AWS_MAXIMUM_POLLERS)


class MappingOptions(Options):
    """Options of a mapping from a queue."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    enabled: bool = True
    """false stops reading and invoking; what waits in the queue stays there."""

    batch_size: Annotated[Count, Field(ge=1, le=10_000)] = 10
    """Records in a batch at most, 1 to 10000; FIFO queues 1 to 10. Above 10 a window is needed."""

    maximum_batching_window_in_seconds: Window = 0.0
    """How long to gather records for a batch, 0 to 300 whole seconds. Not for FIFO queues."""

    filter_criteria: FilterCriteria = FilterCriteria()
    """Which records are delivered; the others are deleted from their queue."""

    function_response_types: ResponseTypes = ()
    """With ReportBatchItemFailures the function answers which records failed; only those come again."""

    scaling_config: ScalingConfig = ScalingConfig()
    """Excludes provisioned_poller_config."""

    provisioned_poller_config: ProvisionedPollerConfig = ProvisionedPollerConfig()
    """Excludes scaling_config."""

    concurrency: Annotated[Count, Field(ge=1, le=10_000)] = DEFAULT_CONCURRENCY
    """Ours: batches in flight at most, for each process, where scaling_config gives no maximum."""

    max_hold: Annotated[Duration, Field(ge=0, le=LONGEST_HOLD, allow_inf_nan=False)] = 3600.0
    """Ours: how long a batch that the target refuses is kept before it is left to its queue, up to 12h."""

    fifo_failure: Literal["aws", "group"] = "aws"
    """Ours, FIFO queues only: `group` fails everything behind the first failure of a message group with it."""

    strict_aws: bool = False
    """Ours: refuse what AWS would not do, for what is to run on AWS too."""

    @property
    def ceiling(self) -> int:
        """Batches in flight at most."""
        return self.scaling_config.maximum_concurrency or self.concurrency
