"""One YAML file to nodes, by ruamel's composer and a walk of our own.

The composer gives marks and leaves keys as they stand, so duplicate keys, merge keys, unresolved CloudFormation
intrinsics and anchors that blow up are seen here, each with its line. No tag ever constructs an object.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as Composed

from esm.config.nodes import Node, Scalar
from esm.config.report import Report

DEEPEST = 50
MOST_VALUES = 200_000
_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge")}
_TOO_DEEP = f"is nested more than {DEEPEST} deep"
_INTRINSIC = "unresolved CloudFormation intrinsic"


class _TooMuchError(Exception):
    """Reported already; the rest of the file is not looked at."""


def parse(text: str, file: str, report: Report) -> Node | None:
    """The root of a file, None if it holds nothing or cannot be read; what is wrong goes to the report."""
    start = Node(file, 1, "", None, broken=True)
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            composed = yaml.compose(text)
        return None if composed is None else _Walk(yaml, report).node(composed, start)
    except MarkedYAMLError as error:
        _say_broken(error, text, start, report)
    except YAMLError as error:
        report.problem(start, f"is no YAML: {str(error).splitlines()[0]}")
    except RecursionError:
        report.problem(start, _TOO_DEEP)
    except _TooMuchError:
        pass
    return None


def _say_broken(error: MarkedYAMLError, text: str, start: Node, report: Report) -> None:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    said = ": ".join(part for part in (error.context, error.problem) if part)
    written = "".join(text.splitlines()[line - 1 : line])
    unquoted = "flow" in said and "${" in written
    hint = ' (inside { } and [ ] an expression needs quotes: "${…}")' if unquoted else ""
    if "expected <block end>" in said:
        hint = " (check how far this line and those above are indented: what stands side by side begins alike)"
    if "mapping values are not allowed" in said:
        hint = " (check how far this line and the one above are indented; text that holds `: ` needs quotes)"
    if "\t" in written[: len(written) - len(written.lstrip())]:
        hint = " (a tab: indent with spaces)"
    report.problem(Node(start.file, line, "", None), f"is no YAML: {said}{hint}")


@dataclass(slots=True)
class _Walk:
    """From composed nodes to ours. Aliases are expanded, so every value has one place; both are bounded."""

    yaml: YAML
    report: Report
    count: int = 0
    open: list[int] = field(default_factory=list)

    def node(self, composed: Composed, place: Node) -> Node:
        """`place` has the file, line and path; the value is filled in."""
        self.count += 1
        self._check_bounds(composed, place)
        if composed.tag not in _PLAIN:
            return self._foreign(composed.tag or "", place)
        self.open.append(id(composed))
        built = self._built(composed, place)
        self.open.pop()
        return built

    def _check_bounds(self, composed: Composed, place: Node) -> None:
        if id(composed) in self.open:
            said = "an anchor contains itself"
        elif len(self.open) > DEEPEST:
            said = _TOO_DEEP
        elif self.count > MOST_VALUES:
            said = f"the file expands to more than {MOST_VALUES:,} values"
        else:
            return
        self.report.problem(place, said)
        raise _TooMuchError

    def _built(self, composed: Composed, place: Node) -> Node:
        if isinstance(composed, MappingNode):
            return self._intrinsic_or(self._mapping(composed, place), place)
        if isinstance(composed, SequenceNode):
            return _at(place, [self.node(item, _item(place, item, n)) for n, item in enumerate(composed.value)])
        return self._scalar(cast("ScalarNode", composed), place)

    def _mapping(self, composed: MappingNode, place: Node) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in composed.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                for name, child in self._merged(value, Node(place.file, line, place.path, None)):
                    merged.setdefault(name, child)
            elif not isinstance(key, ScalarNode) or key.tag == f"{_TAG}null":
                self.report.problem(Node(place.file, line, place.path, None), "a key must be text")
            else:
                self._enter(own, key.value, value, _below(place, key.value, line))
        return {**merged, **own}

    def _enter(self, own: dict[str, Node], name: str, value: Composed, place: Node) -> None:
        if name in own:
            self.report.problem(place, f"duplicate key, first given in line {own[name].line}")
        else:
            own[name] = self.node(value, place)

    def _merged(self, value: Composed, place: Node) -> Iterator[tuple[str, Node]]:
        for part in value.value if isinstance(value, SequenceNode) else (value,):
            node = self.node(part, place)
            if isinstance(node.value, Mapping):
                yield from node.entries.items()
            elif not node.broken:
                self.report.problem(place, "`<<` merges a mapping, or a list of mappings", under="<<")

    def _scalar(self, composed: ScalarNode, place: Node) -> Node:
        make = self.yaml.constructor
        value: Scalar = composed.value
        try:
            match (composed.tag or "").removeprefix(_TAG):
                case "int":
                    value = make.construct_yaml_int(composed)
                case "float":
                    value = make.construct_yaml_float(composed)
                case "bool":
                    value = make.construct_yaml_bool(composed)
                case "null":
                    value = None
        except (ValueError, KeyError):
            self.report.problem(place, "cannot be read as its tag or its digits say")
            return place
        return _at(place, value, composed.value)

    def _foreign(self, tag: str, place: Node) -> Node:
        if tag.startswith("!") and not tag.startswith("!!"):
            self._say_intrinsic(tag, place)
        else:
            self.report.problem(place, f"the tag {tag.removeprefix(_TAG)!r} is not supported: plain YAML only")
        return place

    def _intrinsic_or(self, entries: dict[str, Node], place: Node) -> Node:
        name = next(iter(entries)) if len(entries) == 1 else ""
        if name == "Ref" or name.startswith("Fn::"):
            self._say_intrinsic(name, place)
            return place
        return _at(place, entries)

    def _say_intrinsic(self, name: str, place: Node) -> None:
        self.report.problem(
            place,
            f"{_INTRINSIC} `{name}`: write the value it stands for, or ${{NAME}} to take it from the environment",
        )


def _at(place: Node, value: "Scalar | list[Node] | dict[str, Node]", shown: str = "") -> Node:
    return Node(place.file, place.line, place.path, value, shown)


def _below(place: Node, name: str, line: int) -> Node:
    return Node(place.file, line, f"{place.path}.{name}" if place.path else name, None, broken=True)


def _item(place: Node, item: Composed, index: int) -> Node:
    return Node(place.file, item.start_mark.line + 1, f"{place.path}[{index}]", None, broken=True)
