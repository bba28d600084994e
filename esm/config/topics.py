"""AWS's options of a mapping from Kafka that say what its source is: moved into the source, where ours are.

`SelfManagedEventSource`, `Topics`, `SourceAccessConfigurations` and the two configurations with a consumer group
stand beside the source on AWS, so that is where they are pasted.
"""

from collections.abc import Mapping
from dataclasses import replace

from esm.config.aws_options import VPC_ACCESS
from esm.config.explain import shown
from esm.config.nodes import Node, plain
from esm.config.report import Report

_BROKERS = "self_managed_event_source"
_TOPICS = "topics"
_ACCESS = "source_access_configurations"
_GROUPS = ("self_managed_kafka_event_source_config", "amazon_managed_kafka_event_source_config")
_REGISTRY = "schema_registry_config"
OF_TOPICS = (_BROKERS, _TOPICS, _ACCESS, *_GROUPS)
"""What is moved, in snake_case."""

_CLUSTER = "arn:aws"

Place = tuple[str, ...]
"""Where a consumer group is: brokers, topic, group."""


def with_topic(body: Node, report: Report) -> Node:
    """The body of a mapping, names in snake_case, with a source that has all that is said of it."""
    given = {name: node for name in OF_TOPICS if (node := body.entries.get(name)) is not None and plain(node)}
    source = _source(body, given)
    if source is None or not given:
        return body
    left, access = _divided(given.get(_ACCESS))
    moved = {
        **_brokers(given.get(_BROKERS), report),
        **_topic(given.get(_TOPICS), report),
        **_group(given, report),
        **access,
    }
    for name, node in moved.items():
        if name in source.entries:
            report.problem(node, f"is said by the source too, in line {source.entries[name].line}")
    rest = body.without("source", *OF_TOPICS)
    return rest.holding({"source": source.holding({**source.entries, **moved}), **rest.entries, **left})


def group_of(source: Node) -> Place | None:
    """The group that a topic is read in, if the source names one; without, each mapping has one of its own."""
    if "consumer_group_id" not in source.entries:
        return None
    cluster, *rest = (
        plain(source.entries[name]) if name in source.entries else ""
        for name in ("bootstrap_servers", "cluster_arn", "topic", "consumer_group_id")
    )
    brokers = cluster if isinstance(cluster, str) else ",".join(map(str, cluster))
    return (brokers, *map(str, rest))


def _source(body: Node, given: Mapping[str, Node]) -> Node | None:
    """The source as a mapping, if it is Kafka's."""
    source = body.entries.get("source")
    if source is None:
        first = given.get(_BROKERS)
        return None if first is None else first.holding({"type": _kafka(first)})
    if isinstance(source.value, str) and source.value.startswith(_CLUSTER) and ":kafka:" in source.value:
        return source.holding({"type": _kafka(source), "cluster_arn": source})
    kind = source.entries.get("type")
    return source if kind is not None and kind.value == "kafka" else None


def _kafka(place: Node) -> Node:
    return replace(place, value="kafka", shown="kafka")


def _brokers(node: Node | None, report: Report) -> Mapping[str, Node]:
    if node is None:
        return {}
    endpoints = node.entries.get("endpoints", node.holding({}))
    brokers = endpoints.entries.get("kafka_bootstrap_servers")
    if brokers is None:
        report.problem(
            node, "is required but missing: host:port of brokers", under="endpoints.kafka_bootstrap_servers"
        )
        return {}
    return {"bootstrap_servers": brokers}


def _topic(node: Node | None, report: Report) -> Mapping[str, Node]:
    if node is None:
        return {}
    if len(node.items) == 1:
        return {"topic": node.items[0]}
    report.problem(node, f"{shown(node)} is not allowed: has to be a list with the name of one topic, as on AWS")
    return {}


def _group(given: Mapping[str, Node], report: Report) -> Mapping[str, Node]:
    for config in (given[name] for name in _GROUPS if name in given):
        if _REGISTRY in config.entries:
            registry = config.entries[_REGISTRY]
            report.problem(registry, "is not in this version, which hands records on as they are: leave it away")
        if "consumer_group_id" in config.entries:
            return {"consumer_group_id": config.entries["consumer_group_id"]}
    return {}


def _divided(node: Node | None) -> tuple[Mapping[str, Node], Mapping[str, Node]]:
    """Entries of the network, which have no meaning here, and those that say who we are."""
    if node is None:
        return {}, {}
    network = [item for item in node.items if _kind(item) in VPC_ACCESS]
    others = [item for item in node.items if _kind(item) not in VPC_ACCESS]
    left = {_ACCESS: node.holding(network)} if network else {}
    return left, {_ACCESS: node.holding(others)} if others or not node.items else {}


def _kind(item: Node) -> object:
    return item.entries["type"].value if "type" in item.entries else None
