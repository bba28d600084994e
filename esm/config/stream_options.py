"""The options of a mapping from a stream: AWS's, with AWS's ranges and defaults, and few of our own.

What depends on the kind of stream or on several options together is in `rules`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from esm.config.filters import FilterCriteria
from esm.config.mapping_options import Count, ResponseTypes, Window, whole_seconds
from esm.destinations.options import DestinationConfig
from esm.options import Duration, Options

INFINITE = -1
"""AWS's word for no limit."""

_YOUNGEST = 60
_OLDEST = 604_800
_YEAR_9999 = 253_402_300_799
_AGE: dict[str, Any] = {
    "anyOf": [
        {"const": INFINITE},
        {"type": "number", "minimum": _YOUNGEST, "maximum": _OLDEST},
        {"type": "string"},
    ]
}


def _no_limit(value: object) -> object:
    """`"-1"` comes from the environment; it is no duration."""
    return INFINITE if value == str(INFINITE) else value


def _age(value: float) -> float:
    """https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html: 0 to 59 are refused."""
    if value != INFINITE and not _YOUNGEST <= value <= _OLDEST:
        raise ValueError(f"is out of range: allowed is -1, or {_YOUNGEST} to {_OLDEST} seconds")
    return value


def _moment(value: object) -> object:
    """Epoch seconds as CloudFormation has them, or a time of day with its zone as Terraform has it."""
    if isinstance(value, bool):
        raise ValueError("is not allowed: has to be a time")  # noqa: TRY004 - pydantic collects ValueError only
    if not isinstance(value, str) or value.replace(".", "", 1).isdecimal():
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is no time: write epoch seconds, or text such as 2026-01-31T08:00:00Z")
    return moment.timestamp()


def _seconds(value: float) -> float:
    """What a template of another kind, or JavaScript's clock, gives is a thousand times too late."""
    if value > _YEAR_9999:
        raise ValueError("is in milliseconds: write epoch seconds, or text such as 2026-01-31T08:00:00Z")
    return value


class StreamOptions(Options):
    """Options of a mapping from a stream."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    enabled: bool = True
    """false stops reading and invoking; it goes on where it was."""

    starting_position: Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"] | None = None
    """Streams, required: where a mapping begins that has no position yet. DynamoDB has no AT_TIMESTAMP."""

    starting_position_timestamp: (
        Annotated[
            float,
            BeforeValidator(_moment, json_schema_input_type=float | str),
            Field(ge=0, allow_inf_nan=False),
            AfterValidator(_seconds),
        ]
        | None
    ) = None
    """Streams: with AT_TIMESTAMP, epoch seconds or text such as 2026-01-31T08:00:00Z. Kinesis only."""

    batch_size: Annotated[Count, Field(ge=1, le=10_000)] = 100
    """Records in a batch at most, 1 to 10000."""

    maximum_batching_window_in_seconds: Window = 0.0
    """How long to gather records for a batch, 0 to 300 whole seconds."""

    parallelization_factor: Annotated[Count, Field(ge=1, le=10)] = 1
    """Streams: batches of one shard in flight at once, 1 to 10; order is kept per key."""

    filter_criteria: FilterCriteria = FilterCriteria()
    """Which records are delivered; the others are passed over."""

    function_response_types: ResponseTypes = ()
    """With ReportBatchItemFailures the function answers which record failed; the batch is read on from there."""

    maximum_retry_attempts: Annotated[Count, Field(ge=INFINITE, le=10_000)] = INFINITE
    """Streams: deliveries after the first one, 0 to 10000; -1 goes on until the record is too old."""

    maximum_record_age_in_seconds: Annotated[
        Duration,
        BeforeValidator(_no_limit),
        AfterValidator(whole_seconds),
        AfterValidator(_age),
        WithJsonSchema(_AGE),
    ] = INFINITE
    """Streams: records that are older are given up, 60 to 604800 whole seconds; -1 is no limit."""

    bisect_batch_on_function_error: bool = False
    """Streams: a batch that fails is sent again in two halves, which costs no attempt."""

    destination_config: DestinationConfig = DestinationConfig()
    """Streams: where records go that are given up. `on_failure` only, as on AWS."""

    checkpoint_interval: Annotated[Duration, Field(ge=0.1, le=60, allow_inf_nan=False)] = 1.0
    """Ours, streams: how long what is done may stay unwritten, and so come again after a crash."""

    strict_aws: bool = False
    """Ours: refuse what AWS would not do, for what is to run on AWS too."""

    @property
    def retries(self) -> int | None:
        """Deliveries after the first one, None for no limit."""
        return None if self.maximum_retry_attempts == INFINITE else self.maximum_retry_attempts

    @property
    def oldest(self) -> float | None:
        """Seconds after which a record is given up, None for never."""
        age = self.maximum_record_age_in_seconds
        return None if age == INFINITE else age
