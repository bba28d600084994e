"""The mappings of the file: source, target and options of each, with the file's defaults applied."""

import re
from dataclasses import dataclass, field
from uuid import NAMESPACE_DNS, uuid5

from esm.config import filters
from esm.config.aws_options import KAFKAS, LOGS, duplicate
from esm.config.casing import canonical, normalised
from esm.config.components import Components
from esm.config.explain import shown, validated
from esm.config.filters import with_texts
from esm.config.making import source_of
from esm.config.mapping_options import MappingOptions
from esm.config.models import NAME, MappingConfig, OnFailureConfig, Settings, SourceConfig, TargetConfig
from esm.config.nodes import Node, plain
from esm.config.on_failure import given as written
from esm.config.on_failure import on_failure
from esm.config.report import Report, listed, suggestion
from esm.config.rules import HERE, Support, admits, called, check, check_stream, displaced
from esm.config.stream_options import StreamOptions
from esm.config.topic_options import TopicOptions, check_topic, with_an_end
from esm.config.topics import Place, group_of, with_topic
from esm.model import DataKeys
from esm.plugins import Kind
from esm.world import real_world

_ROOT = uuid5(NAMESPACE_DNS, "esm-engine")
ENDS = ("source", "target")
_FUNCTION = re.compile(r"(?:arn:[a-z-]+:lambda:[a-z0-9-]*:)?\d{12}:function:(?P<name>[\w-]+)(?::[\w$.-]+)?")


def identity(namespace: str, name: str) -> str:
    """The id of a mapping: the same for the same namespace and name, on every host."""
    return str(uuid5(uuid5(_ROOT, namespace), name))


def names(section: Node, report: Report) -> list[tuple[str, Node]]:
    """The entries of `targets:` or `mappings:`; a name that cannot be one is reported."""
    if not section.broken and not section.entries and section.value not in (None, {}):
        report.problem(section, f"{section.kind} is not allowed: has to be a mapping of names")
    for name, node in section.entries.items():
        if not re.fullmatch(NAME, name):
            report.problem(node, "is no name: letters, digits, `_`, `-` and `.`, at most 128")
    return list(section.entries.items())


@dataclass(slots=True)
class Mappings:
    """Resolves one mapping after the other; inline targets join `targets` on the way.

    A named target that is itself wrong stands in `targets` as None, so that naming it is no second mistake.
    """

    components: Components
    settings: Settings
    targets: dict[str, TargetConfig | None]
    defaults: Node
    support: Support
    report: Report
    kinds: set[Kind | None] = field(default_factory=set)
    pairs: dict[str, str] = field(default_factory=dict)
    groups: dict[Place, str] = field(default_factory=dict)

    def mapping(self, name: str, body: Node) -> MappingConfig | None:
        """The mapping, or None with everything wrong in the report."""
        if not body.entries:
            if not body.broken:
                what = f"{shown(body)} is no mapping" if plain(body) else "is empty"
                indent = (
                    "; an option of a mapping is indented further" if canonical(name) in (*HERE, *ENDS) else ""
                )
                self.report.problem(body, f"{what}: it needs `source` and `target`{indent}")
            return None
        body = with_topic(normalised(body, self.report), self.report)
        source = self.components.source(body)
        target = self._target(name, body)
        kind = None if source is None else source.kind
        merged = self._merged(body, kind)
        options = self._options(name, merged, source)
        destinations = self._on_failure(merged, source)
        if source is None or target is None or options is None or destinations is None:
            return None
        if isinstance(options, TopicOptions) and destinations.destinations:
            options = with_an_end(options, merged, self.report)
        self._check_unique(name, body, source, target)
        self._check_group(name, body.entries["source"])
        mapping = MappingConfig(name, self._id(name), source, target, options, destinations)
        self._try(mapping, body.entries["source"])
        return mapping

    def check_defaults(self) -> None:
        """After all mappings: a default that none of them takes is a mistake."""
        kinds = {kind for kind in self.kinds if kind is not None}
        if not kinds or None in self.kinds:
            return
        for option, node in self.defaults.entries.items():
            if not any(admits(option, kind) for kind in kinds):
                self.report.problem(
                    node, f"no mapping allows it: there are only {listed(sorted(map(called, kinds)))}"
                )

    def _merged(self, body: Node, kind: Kind | None) -> Node:
        """What the mapping says and what it inherits, less what is refused or null."""
        self.kinds.add(kind)
        own = self.support.kept(body.without(*ENDS), kind)
        inherited = {
            option: node
            for option, node in self.defaults.entries.items()
            if not displaced(option, own) and (kind is None or admits(option, kind))
        }
        given = {option: node for option, node in own.entries.items() if node.value is not None or node.broken}
        return body.holding({**inherited, **given})

    def _options(
        self, name: str, merged: Node, source: SourceConfig | None
    ) -> MappingOptions | StreamOptions | None:
        if source is None:
            check_values(merged, self.report)
            return None
        before = self.report.found
        options = self._read(name, merged, source.kind)
        if options is None:
            return None
        keys, strict = source.plugin.data_keys, options.strict_aws
        otherwise = "passed over" if source.kind in LOGS else "deleted"
        filters.check(options.filter_criteria, merged, keys, self.report, strict=strict, otherwise=otherwise)
        return options if source.kind not in LOGS or self.report.found == before else None

    def _read(self, name: str, merged: Node, kind: Kind) -> MappingOptions | StreamOptions | None:
        if kind not in LOGS:
            queue = validated(MappingOptions, _prepared(merged), self.report)
            if queue is not None:
                check(name, queue, merged, kind, self.report)
            return queue
        model = TopicOptions if kind in KAFKAS else StreamOptions
        options = validated(model, _prepared(merged), self.report)
        if options is not None:
            check_stream(options, merged, self.report)
        if isinstance(options, TopicOptions):
            check_topic(options, merged, self.report)
        return options

    def _on_failure(self, merged: Node, source: SourceConfig | None) -> OnFailureConfig | None:
        node = merged.entries.get("destination_config")
        return OnFailureConfig() if node is None or source is None else on_failure(node, source, self.components)

    def _target(self, name: str, body: Node) -> str | None:
        node = body.entries.get("target")
        if node is None or (node.value is None and not node.broken):
            known = f"one of {listed(sorted(self.targets))}, " if self.targets else ""
            forms = f"{known}a URL, lambda:NAME, python:module:handler, or {{type: …}}"
            self.report.problem(body, f"is required but missing: {forms}", under="target")
            return None
        named = self._named(node)
        if named is not None:
            return named
        if isinstance(node.value, str) and not node.broken and self._say_unnamed(node, node.value):
            return None
        inline = f"{name}/target"
        self.targets[inline] = self.components.target(node, inline)
        return inline if self.targets[inline] is not None else None

    def _named(self, node: Node) -> str | None:
        """A name of `targets:`, also out of a function's ARN as CloudFormation has it."""
        if not isinstance(node.value, str) or node.broken:
            return None
        function = _FUNCTION.fullmatch(node.value)
        name = function["name"] if function is not None and node.value not in self.targets else node.value
        return name if name in self.targets else None

    def _say_unnamed(self, node: Node, text: str) -> bool:
        """Whether it can only be the name of a target, which is said to be missing."""
        if ":" in text:
            return False
        hint = suggestion(text, [name for name in self.targets if "/" not in name])
        forms = "define it below `targets:`, or write a URL, lambda:NAME, python:module:handler, or {type: …}"
        self.report.problem(node, f"there is no target `{shown(node)}`{hint or ': ' + forms}")
        return True

    def _check_unique(self, name: str, body: Node, source: SourceConfig, target: str) -> None:
        """One mapping per queue and function, as on AWS. Inline targets count by what they are."""
        config = self.targets[target]
        called = target if "/" not in target or config is None else f"{config.plugin.name} {config.options!r}"
        first = self.pairs.setdefault(f"{source.plugin.name} {source.options!r} {called}", name)
        if first != name:
            said = duplicate(
                source.kind, shown(body.entries["source"]), shown(body.entries["target"]), self._id(first)
            )
            what = "topic" if source.kind in KAFKAS else "stream" if source.kind in LOGS else "queue"
            self.report.problem(
                body,
                f"same {what} and target as `{first}`: remove one (AWS: {said})",
            )

    def _check_group(self, name: str, source: Node) -> None:
        """Two members of one group share its partitions, so each function would get some of the records."""
        place = group_of(source)
        first = name if place is None else self.groups.setdefault(place, name)
        if first != name:
            self.report.problem(
                source.entries["consumer_group_id"],
                f"is the group of `{first}` too, so that each gets the records of some partitions only: AWS wants "
                "another for each mapping",
            )

    def _try(self, mapping: MappingConfig, node: Node) -> None:
        """Let the plugin make it once, for what it says about options that make no sense together."""
        target = self.targets[mapping.target]
        if target is None:
            return
        try:
            source_of(mapping, target, self.settings, real_world())
        except ValueError as error:
            self.report.problem(node, str(error))

    def _id(self, name: str) -> str:
        return identity(self.settings.namespace, name)


def defaults(section: Node, support: Support, report: Report) -> Node:
    """`defaults:` with AWS's names in snake_case, each value checked by itself."""
    if not section.entries:
        if section.value not in (None, {}) and not section.broken:
            report.problem(section, f"{section.kind} is not allowed: has to be a mapping of options")
        return section.holding({})
    for key, node in section.entries.items():
        if canonical(key) in ENDS:
            report.problem(node, "belongs to a mapping: it cannot be a default")
    kept = support.kept(normalised(section, report).without(*ENDS), None)
    given = kept.holding(
        {key: node for key, node in kept.entries.items() if key in HERE and node.value is not None}
    )
    check_values(given, report)
    return given


def check_values(given: Node, report: Report) -> None:
    """Each option by itself, where it is not known for which kind of source it is."""
    own = given.without(*(StreamOptions.model_fields.keys() - MappingOptions.model_fields.keys()))
    options = validated(MappingOptions, _prepared(own), report)
    validated(TopicOptions, _prepared(given.without(*own.entries)), report)
    if options is not None:
        filters.check(options.filter_criteria, given, DataKeys(), report, strict=False, otherwise="not delivered")


def _prepared(body: Node) -> Node:
    """As the models take it: patterns as text, and nothing in the place of what is null."""
    to = body.entries.get("destination_config")
    return with_texts(body if to is None else body.holding({**body.entries, "destination_config": written(to)}))
