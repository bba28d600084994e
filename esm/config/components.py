"""Sources, targets and destinations of the file: which plugin they mean, and its options.

Each is one line (an ARN, a URL, `python:module:handler`, the name of a target) or a mapping with
a `type`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esm.config.aws_options import NO_SOURCE, SERVICES, SYNCHRONOUS_ONLY
from esm.config.catalog import Catalog, P, one_line
from esm.config.explain import shown, validated
from esm.config.making import target_of
from esm.config.models import DestinationConfig, Settings, SourceConfig, TargetConfig, TargetLimits
from esm.config.nodes import Node, plain
from esm.config.report import Report, listed, suggestion
from esm.options import Options

_LIMITS = tuple(TargetLimits.model_fields)
_SOURCE_FORMS = (
    "an ARN such as arn:aws:sqs:eu-west-1:123456789012:orders, kafka://HOST:PORT/TOPIC, or {type: sqs, …}"
)
_DESTINATION_FORMS = "an ARN, s3://BUCKET, a URL, kafka://TOPIC, file:///PATH or {type: …}"
_WEB = re.compile(r"https?://", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}(?:/\S*)?")
_HANDLER = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


@dataclass(frozen=True, slots=True)
class Components:
    """Resolves nodes against a catalog."""

    catalog: Catalog
    settings: Settings
    report: Report

    def source(self, body: Node) -> SourceConfig | None:
        """The source of a mapping's body."""
        node = body.entries.get("source")
        if node is None or (node.value is None and not node.broken):
            self.report.problem(
                body, f"is required but missing: {_SOURCE_FORMS} (AWS: {NO_SOURCE})", under="source"
            )
            return None
        found = self._component(node, self.catalog.sources, "source")
        if found is None:
            return None
        plugin, options = found
        return SourceConfig(plugin, options, plugin.kind(options))

    def target(self, node: Node, name: str) -> TargetConfig | None:
        """A target written out here, with the limits that every target takes."""
        limited = node.holding({key: child for key, child in node.entries.items() if key in _LIMITS})
        limits = validated(TargetLimits, limited, self.report)
        if "invocation_type" in node.entries:
            self.report.problem(node.entries["invocation_type"], SYNCHRONOUS_ONLY)
        rest = node.without(*_LIMITS, "invocation_type") if node.entries else node
        found = self._component(rest, self.catalog.targets, "target")
        if found is None or limits is None:
            return None
        plugin, options = found
        return self._tried(TargetConfig(name, plugin, options, limits), node)

    def destination(self, node: Node, source: SourceConfig) -> DestinationConfig | None:
        """One destination or fallback of a mapping from that source."""
        found = self._component(node, self.catalog.destinations, "destination")
        if found is None:
            return None
        plugin, options = found
        try:
            return DestinationConfig(plugin, plugin.beside(options, source.options))
        except ValueError as error:
            self.report.problem(node, str(error))
            return None

    def _tried(self, target: TargetConfig, node: Node) -> TargetConfig | None:
        """Lets the plugin say what makes no sense together, before anything starts."""
        try:
            target_of(target, self.settings)
        except ValueError as error:
            self.report.problem(node, str(error))
            return None
        return target

    def _component(self, node: Node, plugins: Mapping[str, P], role: str) -> tuple[P, Options] | None:
        if node.broken:
            return None
        if isinstance(node.value, str):
            return self._from_line(node, plugins, role)
        if not node.entries:
            what = f"{shown(node)} is no {role}" if plain(node) else "is empty"
            self.report.problem(node, f"{what}: write one line, or a mapping with `type`")
            return None
        return self._from_type(node, plugins, role)

    def _from_line(self, node: Node, plugins: Mapping[str, P], role: str) -> tuple[P, Options] | None:
        found = one_line(plugins, str(node.value))
        if found is None:
            self.report.problem(node, _no_line(node, plugins, role))
            return None
        plugin, options = found
        spread = {key: _generated(node, value) for key, value in options.items()}
        made = validated(plugin.options, node.holding(spread), self.report)
        return None if made is None else (plugin, made)

    def _from_type(self, node: Node, plugins: Mapping[str, P], role: str) -> tuple[P, Options] | None:
        kind = node.entries.get("type")
        known = listed(sorted(plugins)) if plugins else "none"
        if kind is None:
            self.report.problem(node, f"is required but missing: this version has {known}", under="type")
            return None
        plugin = plugins.get(str(kind.value))
        if plugin is None:
            if not kind.broken:
                hint = suggestion(kind.shown, plugins) or self._fault(kind.shown)
                self.report.problem(
                    kind, f"there is no {role} of type {shown(kind)}: this version has {known}{hint}"
                )
            return None
        made = validated(
            plugin.options,
            node.without("type"),
            self.report,
            also=("type", *(_LIMITS if role == "target" else ())),
        )
        return None if made is None else (plugin, made)

    def _fault(self, name: str) -> str:
        return f" ({self.catalog.faults[name]})" if name in self.catalog.faults else ""


def _generated(node: Node, value: Any) -> Node:
    """An option that a one-line form stands for has the place of that line."""
    if isinstance(value, Mapping):
        return node.holding({key: _generated(node, inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return node.holding([_generated(node, inner) for inner in value])
    return node.holding(value)


def _no_line(node: Node, plugins: Mapping[str, P], role: str) -> str:
    known = listed(sorted(plugins)) if plugins else "none"
    if role == "target":
        forms = f": this version has the types {known}, as a URL or {{type: …}}"
        return f"{shown(node)} is no target{_meant(node, plugins) or forms}"
    if role == "destination":
        return f"{shown(node)} is no destination: write {_DESTINATION_FORMS}; this version has the types {known}"
    parts = str(node.value).split(":")
    service = SERVICES.get(parts[2]) if len(parts) > 5 and parts[0] == "arn" else None
    if service is not None:
        return f"{service} is no source of this version, which has {known}"
    if _WEB.match(str(node.value)) and "sqs" in plugins:
        return f'{shown(node)} is no source: a queue URL outside AWS goes into {{type: sqs, queue_url: "…"}}'
    return f"{shown(node)} is no source: write {_SOURCE_FORMS}"


def _meant(node: Node, plugins: Mapping[str, P]) -> str:
    """The line with the beginning that it lacks."""
    text = str(node.value)
    if "http" in plugins and _HOST_AND_PORT.fullmatch(text):
        return f"; did you mean `http://{shown(node)}`?"
    if "python" in plugins and _HANDLER.fullmatch(text) and text.partition(":")[0] not in plugins:
        return f"; did you mean `python:{shown(node)}`?"
    return ""
