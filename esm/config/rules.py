"""Which options a mapping may have, given its kind of source: each by itself, and several together.

What is refused is refused with the reason, in AWS's own words where it has any, at the option that breaks the
rule, which may stand in `defaults:`. AWS's options without a meaning here are accepted with one warning each.
"""

from dataclasses import dataclass, field

from esm.config.aws_options import (
    AWS_OPTIONS,
    BATCH_WITHOUT_WINDOW,
    BELOW,
    CALLED,
    KAFKAS,
    LOGS,
    NO_POSITION,
    NO_TUMBLING,
    OF_TOPICS_WITHOUT_MEANING,
    ON_SUCCESS,
    QUEUES,
    SYNCHRONOUS_ONLY,
    VPC_ACCESS,
    WITHOUT_MEANING,
)
from esm.config.explain import unknown
from esm.config.mapping_options import MappingOptions
from esm.config.nodes import Node, plain
from esm.config.report import Report, listed
from esm.config.stream_options import StreamOptions
from esm.plugins import Kind

_OF_QUEUES = frozenset(MappingOptions.model_fields)
_OF_STREAMS = frozenset(StreamOptions.model_fields)
HERE = tuple(dict.fromkeys((*MappingOptions.model_fields, *StreamOptions.model_fields)))
_TUMBLING = "tumbling_window_in_seconds"
_INSTEAD = {"concurrency": "parallelization_factor"}
_VPC = "its VPC entries have no meaning here: the engine's own network is used"

# A mapping has one of a pair; what stands in the mapping itself displaces a default of the other.
_EXCLUSIVE = (("scaling_config", "provisioned_poller_config"), ("scaling_config", "concurrency"))


def admits(name: str, kind: Kind) -> bool:
    """Whether a mapping of this kind takes an option that this version has."""
    if name == "fifo_failure":
        return kind is Kind.FIFO
    known = _OF_STREAMS if kind in LOGS else _OF_QUEUES
    return name in known and (name not in AWS_OPTIONS or kind in AWS_OPTIONS[name].kinds)


@dataclass(frozen=True, slots=True)
class Support:
    """Sorts the options of bodies; remembers what was ignored, to say it once per option."""

    report: Report
    _ignored: dict[str, list[Node]] = field(default_factory=dict)

    def kept(self, body: Node, kind: Kind | None) -> Node:
        """The body less what is refused or ignored. `kind` None: any kind will do, as in `defaults:`."""
        return body.holding(
            {name: child for name, child in body.entries.items() if self._keeps(name, child, kind)}
        )

    def warn(self) -> None:
        """One warning for each ignored option, however many mappings have it."""
        for name, nodes in self._ignored.items():
            more = f" (and in {len(nodes) - 1} more)" if len(nodes) > 1 else ""
            why = {**WITHOUT_MEANING, **OF_TOPICS_WITHOUT_MEANING}.get(name, _VPC)
            self.report.warning(nodes[0], f"{why}; ignored{more}")

    def _keeps(self, name: str, node: Node, kind: Kind | None) -> bool:
        if name in HERE and (kind is None or admits(name, kind)):
            return True
        if node.broken or (node.value is None and name in AWS_OPTIONS) or _is_no_window(name, node):
            return False
        if name in WITHOUT_MEANING or _only_vpc(name, node) or _is_of_no_topic(name, kind):
            self._ignored.setdefault(name, []).append(node)
        else:
            self._refuse(name, node, kind)
        return False

    def _refuse(self, name: str, node: Node, kind: Kind | None) -> None:
        if name == "destination_config":
            self._refuse_destinations(node, kind)
        elif name == "fifo_failure" and kind is not None:
            self.report.problem(node, f"is not supported for {called(kind)}: only SQS FIFO has message groups")
        elif name == _TUMBLING and kind not in QUEUES:
            self.report.problem(node, NO_TUMBLING)
        elif name in HERE and name not in AWS_OPTIONS and kind is not None:
            self.report.problem(node, _of_others(name, kind))
        elif name in AWS_OPTIONS:
            self.report.problem(node, _unsupported(name, kind))
        else:
            self._say_unknown(name, node, kind)

    def _refuse_destinations(self, node: Node, kind: Kind | None) -> None:
        if not isinstance(plain(node), dict):
            self.report.problem(node, _unsupported("destination_config", kind))
        for name, child in node.entries.items():
            destination = plain(child)
            if name == "on_success" and destination:
                self.report.problem(child, ON_SUCCESS)
            elif destination and destination != {"destination": ""}:
                self.report.problem(child, _unsupported("destination_config", kind))

    def _say_unknown(self, name: str, node: Node, kind: Kind | None) -> None:
        if name == "invocation_type":
            self.report.problem(node, SYNCHRONOUS_ONLY)
        elif name == "properties":
            self.report.problem(node, "put what is inside `Properties` here, without `Type` and `Properties`")
        elif name in BELOW:
            self.report.problem(node, f"belongs below `{BELOW[name]}`")
        else:
            known = (
                list(HERE) if kind is None else ["source", "target", *(one for one in HERE if admits(one, kind))]
            )
            others = [one for one in AWS_OPTIONS if one not in known]
            unknown(node, known, self.report, others)


def called(kind: Kind) -> str:
    """The sources of a kind, as a text speaks of them."""
    return CALLED.get(kind, str(kind))


def _of_others(name: str, kind: Kind) -> str:
    instead = f"; use {_INSTEAD[name]}" if name in _INSTEAD else ""
    return f"is not for {called(kind)}: only {'queues' if kind in LOGS else 'streams and topics'} have it{instead}"


def _is_no_window(name: str, node: Node) -> bool:
    """AWS's default, which a template may well write out."""
    return name == _TUMBLING and str(plain(node)) == "0"


def _unsupported(name: str, kind: Kind | None) -> str:
    option = AWS_OPTIONS[name]
    where = f"for {called(kind)}" if kind is not None else "by any source of this version"
    instead = f"; use {option.instead}" if option.instead else ""
    verb = "supports" if len(option.kinds) == 1 else "support"
    return f"is not supported {where}: {listed(option.kinds)} {verb} it{instead}"


def _is_of_no_topic(name: str, kind: Kind | None) -> bool:
    return kind in KAFKAS and name in OF_TOPICS_WITHOUT_MEANING


def _only_vpc(name: str, node: Node) -> bool:
    if name != "source_access_configurations" or not node.items:
        return False
    return all(
        str(item.entries["type"].value) in VPC_ACCESS if "type" in item.entries else False for item in node.items
    )


def check_stream(options: StreamOptions, body: Node, report: Report) -> None:
    """As `check`, for a stream or a topic. What only its kind can say of a position, the plugin says."""
    timed = "starting_position_timestamp" in body.entries
    if options.starting_position is None:
        positions = "TRIM_HORIZON, LATEST or, but for DynamoDB, AT_TIMESTAMP"
        report.problem(
            body, f"is required but missing: {positions} (AWS: {NO_POSITION})", under="starting_position"
        )
    elif timed and options.starting_position != "AT_TIMESTAMP":
        report.problem(
            body.entries["starting_position_timestamp"],
            "goes with starting_position AT_TIMESTAMP, and only with it",
        )


def check(name: str, options: MappingOptions, body: Node, kind: Kind, report: Report) -> None:
    """`body` holds the nodes that the options came from, defaults included."""
    _check_batch(name, options, body, kind, report)
    _check_pollers(options, body, report)
    _check_ceilings(options, body, report)
    if options.strict_aws and options.fifo_failure == "group":
        report.problem(
            body.entries["fifo_failure"], "group is not AWS's behaviour, which strict_aws asks for: aws"
        )


def displaced(option: str, own: Node) -> bool:
    """Whether a default gives way to what the mapping itself says."""
    return option in own.entries or any(
        other in own.entries for pair in _EXCLUSIVE if option in pair for other in pair if other != option
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


def _check_ceilings(options: MappingOptions, body: Node, report: Report) -> None:
    if options.scaling_config.maximum_concurrency is None:
        return
    if options.provisioned_poller_config.bounds is not None:
        report.problem(
            body.entries["provisioned_poller_config"], "excludes scaling_config: a mapping has one of them"
        )
    if "concurrency" in body.entries:
        report.problem(
            body.entries["concurrency"], "excludes scaling_config.maximum_concurrency, which says the same"
        )
