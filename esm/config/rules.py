"""AWS's rules over several options of a mapping, with AWS's own texts where it has one.

Each is said at the option that breaks it, which may stand in `defaults:`.
"""

from esm.config.aws_options import BATCH_WITHOUT_WINDOW, Kind
from esm.config.mapping_options import MappingOptions
from esm.config.nodes import Node
from esm.config.report import Report

# A mapping has one of a pair; what stands in the mapping itself displaces a default of the other.
EXCLUSIVE = (("scaling_config", "provisioned_poller_config"), ("scaling_config", "concurrency"))


def check(name: str, options: MappingOptions, body: Node, kind: Kind, report: Report) -> None:
    """`body` holds the nodes that the options came from, defaults included."""
    _check_batch(name, options, body, kind, report)
    _check_pollers(options, body, report)
    _check_ceilings(body, options, report)
    if options.strict_aws and options.fifo_failure == "group":
        report.problem(
            body.entries["fifo_failure"], "group is not AWS's behaviour, which strict_aws asks for: aws"
        )


def displaced(option: str, own: Node) -> bool:
    """Whether a default gives way to what the mapping itself says."""
    return option in own.entries or any(
        other in own.entries for pair in EXCLUSIVE if option in pair for other in pair if other != option
    )


def _check_batch(name: str, options: MappingOptions, body: Node, kind: Kind, report: Report) -> None:
    if options.batch_size <= 10:
        return
    node = body.entries["batch_size"]
    inherited = f" (mapping `{name}`)" if node.path.startswith("defaults.") else ""
    if kind is Kind.FIFO:
        report.problem(node, f"{node.shown} is out of range for an SQS FIFO queue: allowed is 1 to 10{inherited}")
    elif options.maximum_batching_window_in_seconds < 1:
        report.problem(node, f"{BATCH_WITHOUT_WINDOW}: set maximum_batching_window_in_seconds{inherited}")


def _check_pollers(options: MappingOptions, body: Node, report: Report) -> None:
    config = options.provisioned_poller_config
    low, high = config.minimum_pollers, config.maximum_pollers
    if low is not None and high is not None and low > high:
        node = body.entries["provisioned_poller_config"].entries["minimum_pollers"]
        report.problem(node, f"{low} is above maximum_pollers, {high}")


def _check_ceilings(body: Node, options: MappingOptions, report: Report) -> None:
    if options.scaling_config.maximum_concurrency is None:
        return
    pollers = options.provisioned_poller_config
    if pollers.minimum_pollers is not None or pollers.maximum_pollers is not None:
        report.problem(
            body.entries["provisioned_poller_config"], "excludes scaling_config: a mapping has one of them"
        )
    if "concurrency" in body.entries:
        report.problem(
            body.entries["concurrency"], "excludes scaling_config.maximum_concurrency, which says the same"
        )
