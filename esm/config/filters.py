"""`filter_criteria`: patterns as YAML or as JSON text, and what is wrong with them, said where it stands.

A pattern in YAML is turned into the JSON text it stands for before anything else looks at it, so that a number
keeps the spelling by which it is compared and its length is that of the text AWS would get.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from esm.config.nodes import Node, nearest, plain, scalars
from esm.config.parse import parse
from esm.config.report import Report, listed, suggestion
from esm.core.filtering import AWS_SAYS, FilterSet, InvalidPattern, named
from esm.model import DataKeys
from esm.options import Options

_CRITERIA = "filter_criteria"
_NO_FILTERS: tuple[Any, ...] = ("", [], {"filters": None}, {"filters": {}})
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def _in_either_casing(schema: dict[str, Any]) -> None:
    del schema["required"]  # `Pattern` will do as well


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("is no pattern: write a mapping such as {body: {status: [paid]}}, or JSON text")  # noqa: TRY004
    return value


class Filter(Options):
    """One pattern; a record passes if any of a mapping's patterns matches it."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=_in_either_casing)

    pattern: Annotated[
        str, BeforeValidator(_pattern), WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string"}]})
    ]
    """A pattern as a mapping, or as the JSON text that AWS has."""


def _as_in_terraform(schema: dict[str, Any]) -> None:
    either = [{"type": "object"}, {"type": "array"}]
    schema["properties"]["filter"] = {"anyOf": either, "description": "As in Terraform: `filters`."}


class FilterCriteria(Options):
    """Which records are delivered; the others are deleted from a queue, in a stream passed over. `{}` is all."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=_as_in_terraform)

    filters: Annotated[tuple[Filter, ...], Field(max_length=10)] = ()
    """Up to 10 of them: AWS has 5, and 10 on request."""


def with_texts(body: Node) -> Node:
    """A mapping's body with each pattern as JSON text, and a single filter as a list of one.

    Every way to write no filters at all becomes `{}`, which is how AWS takes them off.
    """
    criteria = body.entries.get(_CRITERIA)
    if criteria is None or criteria.broken:
        return body
    given = criteria.entries.get("filters")
    if plain(criteria) in _NO_FILTERS:
        criteria = criteria.holding({})
    elif given is not None and (given.items or given.entries):
        criteria = _with(criteria, "filters", given.holding([_with_text(one) for one in _filters(criteria)]))
    return _with(body, _CRITERIA, criteria)


def check(
    criteria: FilterCriteria, body: Node, keys: DataKeys, report: Report, *, strict: bool, otherwise: str
) -> None:
    """Reports each pattern that cannot be compiled, and warns of one that no record can match.

    `body` holds the nodes as they were written; `otherwise` says what becomes of what no pattern matches.
    """
    node = body.entries.get(_CRITERIA)
    if node is None or any(one.broken for one in scalars(node)):
        return
    for written, given in zip(_filters(node), criteria.filters, strict=True):
        pattern = written.entries["pattern"]
        try:
            strange = FilterSet([given.pattern], keys, strict=strict).strange()
        except InvalidPattern as error:
            _say(pattern, error, report)
            continue
        for name in strange:
            never = f"so this never matches, and what no pattern matches is {otherwise}"
            report.warning(nearest(pattern, (name,))[0], f"{no_field(name, keys)}, {never}")


def no_field(name: str, keys: DataKeys) -> str:
    """That no record of a source has this at its top, and what was probably meant."""
    near = suggestion(name, keys.fields).removeprefix("; ")
    data = f"the data is in {listed(f'`{key}`' for key in keys.names)}"
    return f"no record has a field `{name}` ({near or data})"


def json_text(text: str, file: str) -> str:
    """A pattern or a `filter_criteria` in YAML as the JSON it stands for. Raises ConfigError."""
    report = Report()
    root = parse(text, file, report)
    report.raise_if_any()
    root = root or Node(file, 1, "", None)
    if not root.entries or "mappings" in root.entries:
        report.problem(root, "is no pattern: the file has to hold one pattern, or `filter_criteria` alone")
        report.raise_if_any()
    return _json(root)


def _say(pattern: Node, error: InvalidPattern, report: Report) -> None:
    place, left = nearest(pattern, error.path)
    where = f"{named(left)} " if left or not pattern.entries else ""
    report.problem(place, f"{where}{error.reason} (AWS: {AWS_SAYS})")


def _filters(criteria: Node) -> Sequence[Node]:
    given = criteria.entries.get("filters", criteria.holding(None))
    return given.items or ([given] if given.entries else [])


def _with_text(given: Node) -> Node:
    pattern = given.entries.get("pattern")
    if pattern is None or not isinstance(pattern.value, Mapping):
        return given
    text = _json(pattern)
    return _with(given, "pattern", replace(pattern, value=text, shown=text))


def _with(node: Node, key: str, child: Node) -> Node:
    return node.holding({**node.entries, key: child})


def _json(node: Node) -> str:
    if isinstance(node.value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{_json(child)}" for key, child in node.entries.items()) + "}"
    if node.items or isinstance(node.value, list | tuple):
        return "[" + ",".join(map(_json, node.items)) + "]"
    if isinstance(node.value, float | int) and _JSON_NUMBER.fullmatch(node.shown):
        return node.shown
    return json.dumps(node.value, ensure_ascii=False)
