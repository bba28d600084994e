"""The options of a mapping from a topic: those of a stream, with another default window and more parallelism.

AWS gives up after ten retries where there is a destination for what is given up. So do we, unless the
configuration says otherwise (D14).
"""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from esm.config.mapping_options import Count, whole_seconds
from esm.config.nodes import Node
from esm.config.report import Report
from esm.config.stream_options import StreamOptions
from esm.options import Duration

_DEFAULT_WINDOW = 0.5
_MOST_RETRIES = 10
_RETRIES = "maximum_retry_attempts"


def _whole_or_default(value: float) -> float:
    """On AWS the default cannot be written; here it can."""
    return value if value == _DEFAULT_WINDOW else whole_seconds(value)


class TopicOptions(StreamOptions):
    """Options of a mapping from a topic; it can do whatever a mapping from a stream can."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    maximum_batching_window_in_seconds: Annotated[
        Duration, Field(ge=0, le=300, allow_inf_nan=False), AfterValidator(_whole_or_default)
    ] = _DEFAULT_WINDOW
    """How long to gather records for a batch, 0 to 300 whole seconds; 500ms is AWS's default for Kafka."""

    parallelization_factor: Annotated[Count, Field(ge=1, le=100)] = 1
    """Ours for topics: batches of one partition in flight at once, 1 to 100; order is kept per key."""


def check_topic(options: TopicOptions, body: Node, report: Report) -> None:
    """What `strict_aws` does not allow (D12)."""
    if options.strict_aws and options.parallelization_factor > 1:
        report.problem(
            body.entries["parallelization_factor"],
            "is not for Kafka on AWS, which strict_aws asks for: a partition has one batch in flight",
        )


def with_an_end(options: TopicOptions, body: Node, report: Report) -> TopicOptions:
    """Where there is a destination: infinite retries become ten, which is said (D14)."""
    given = body.entries.get(_RETRIES)
    if options.retries is not None or (given is not None and not options.strict_aws):
        return options
    said = f"{_MOST_RETRIES}, as on AWS for a topic with an on-failure destination"
    instead = "" if options.strict_aws else f"; write {_RETRIES}: -1 for no limit"
    report.warning(given or body, f"{_RETRIES} is {said}{instead}")
    return options.model_copy(update={_RETRIES: _MOST_RETRIES})
