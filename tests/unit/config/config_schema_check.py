"""Just enough of JSON Schema to check that what the engine prints means what it says."""

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_ABOUT = {"$schema", "$defs", "title", "description", "default", "uniqueItems", "writeOnly", "format"}
_KNOWN = _ABOUT | {
    "$ref", "type", "anyOf", "oneOf", "allOf", "properties", "patternProperties", "additionalProperties",
    "propertyNames", "required", "items", "maxItems", "enum", "const", "pattern", "minimum", "maximum",
    "exclusiveMinimum", "minLength", "maxLength",
}  # fmt: skip


def errors(value: Any, schema: Any, root: Any = None) -> list[str]:
    """Where a value does not fit; a keyword that is not known here fails the test."""
    root = schema if root is None else root
    if schema in (True, {}):
        return []
    if schema is False:
        return ["nothing is allowed here"]
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    if "$ref" in schema:
        return errors(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    return [*_own(value, schema), *_combined(value, schema, root), *_inside(value, schema, root)]


def _own(value: Any, schema: Any) -> Iterator[str]:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{value!r} is no {kinds}"
    if "const" in schema and value != schema["const"]:
        yield f"{value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{value!r} does not match {schema['pattern']}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high or value <= schema.get("exclusiveMinimum", value - 1):
            yield f"{value!r} is out of range"
    if isinstance(value, list) and len(value) > schema.get("maxItems", len(value)):
        yield "too many items"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _combined(value: Any, schema: Any, root: Any) -> Iterator[str]:
    fitting = {
        key: sum(not errors(value, part, root) for part in schema.get(key, ())) for key in ("anyOf", "oneOf")
    }
    if "anyOf" in schema and not fitting["anyOf"]:
        yield f"{value!r} fits none of {len(schema['anyOf'])}"
    if "oneOf" in schema and fitting["oneOf"] != 1:
        yield f"{value!r} fits {fitting['oneOf']} instead of one"
    for part in schema.get("allOf", ()):
        yield from errors(value, part, root)


def _inside(value: Any, schema: Any, root: Any) -> Iterator[str]:
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from errors(item, schema["items"], root)
    if not isinstance(value, dict):
        return
    yield from (f"{name} is missing" for name in schema.get("required", ()) if name not in value)
    for name, child in value.items():
        yield from errors(name, schema.get("propertyNames", True), root)
        yield from (f"{name}: {error}" for error in errors(child, _for(name, schema), root))


def _for(name: str, schema: Any) -> Any:
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    patterns = [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
    return patterns[0] if patterns else schema.get("additionalProperties", True)
