"""A JSON Schema of the YAML, for editors: completion, help texts, and errors while typing.

It is as tolerant as the loader: options of AWS in both casings, durations as numbers or text, and `${…}` wherever
a value may stand. What needs several values together, or the kind of queue, only the loader knows.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from esm.config.aws_options import AWS_OPTIONS, WITHOUT_MEANING
from esm.config.casing import pascal
from esm.config.catalog import Catalog, P
from esm.config.mapping_options import MappingOptions
from esm.config.models import NAME, Settings, TargetLimits
from esm.config.topic_options import TopicOptions
from esm.config.topics import OF_TOPICS

Schema = dict[str, Any]

_EXPRESSION: Schema = {"type": "string", "pattern": r"\$\{"}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def json_schema(catalog: Catalog) -> Schema:
    """The schema of a file, with the options of the catalog's plugins."""
    shared: Schema = {}
    settings = _model(Settings, "", shared)
    shared["target"] = _component(catalog.targets, "target", _model(TargetLimits, "limits", shared), shared)
    shared["source"] = _component(catalog.sources, "source", {"properties": {}}, shared)
    options = _cased(
        _both(_model(MappingOptions, "mapping", shared), _model(TopicOptions, "mapping", shared)), shared
    )
    shared["mapping"] = _mapping(options)
    sections = {
        "defaults": {**options, "description": "Options for every mapping that allows them."},
        "targets": _named("target", "Targets by name, shared by the mappings that name them."),
        "mappings": _named("mapping", "Mappings by name."),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of esm",
        **settings,
        "properties": {**settings["properties"], **sections},
        "patternProperties": {"^x-": {}},
        "$defs": shared,
    }


def _both(queues: Schema, streams: Schema) -> Schema:
    """The options of every kind of source; of what both have, without what differs."""
    own = {name: part for name, part in streams["properties"].items() if name not in queues["properties"]}
    size = {"description": "Records in a batch at most: 10 unless given for queues, 100 for streams."}
    shared = {key: part for key, part in queues["properties"]["batch_size"].items() if key != "default"}
    return {**queues, "properties": {**queues["properties"], **own, "batch_size": {**shared, **size}}}


def _model(model: type[BaseModel], prefix: str, shared: Schema) -> Schema:
    """A model's schema; the models inside it go to the shared definitions under a prefix of their own."""
    start = f"{prefix}." if prefix else ""
    schema = model.model_json_schema(ref_template=f"#/$defs/{start}{{model}}")
    for name, inner in schema.pop("$defs", {}).items():
        shared[f"{start}{name}"] = _tolerant(inner)
    return dict(_tolerant(schema))


def _tolerant(schema: Any) -> Any:
    """Bounds by their names in JSON Schema, no generated titles, and an expression for every scalar."""
    if isinstance(schema, list):
        return [_tolerant(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    clean = {_BOUNDS.get(key, key): _inner(key, value) for key, value in schema.items() if key != "title"}
    strict = clean.get("type") in {"integer", "number", "boolean"} or "enum" in clean or "pattern" in clean
    about = {key: clean.pop(key) for key in ("default", "description") if strict and key in clean}
    return {**about, "anyOf": [clean, _EXPRESSION]} if strict else clean


def _inner(key: str, value: Any) -> Any:
    """Below `properties` come names, not keywords: an option may well be called `title` or `pattern`."""
    if key in {"properties", "$defs"}:
        return {name: _tolerant(part) for name, part in value.items()}
    return value if key in {"default", "enum", "const", "pattern"} else _tolerant(value)


def _component(plugins: Mapping[str, P], role: str, limits: Schema, shared: Schema) -> Schema:
    forms: list[Schema] = [
        _typed(name, _model(plugin.options, f"{role}.{name}", shared), limits) for name, plugin in plugins.items()
    ]
    return {"anyOf": [{"type": "string"}, *forms]}


def _typed(name: str, options: Schema, limits: Schema) -> Schema:
    properties = {"type": {"const": name}, **options.get("properties", {}), **limits["properties"]}
    return {**options, "properties": properties, "required": ["type", *options.get("required", [])]}


def _named(definition: str, description: str) -> Schema:
    return {
        "type": ["object", "null"],
        "description": description,
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {"$ref": f"#/$defs/{definition}"},
    }


def _cased(options: Schema, shared: Schema) -> Schema:
    """AWS's options also in PascalCase, those inside options too; null is AWS's default."""
    for name in [name for name in shared if name.startswith("mapping.")]:
        shared[name] = _doubled(shared[name], shared[name]["properties"])
    ignored = {name: {"description": f"Ignored: {why}."} for name, why in WITHOUT_MEANING.items()}
    tumbling = {"tumbling_window_in_seconds": {"const": 0, "description": "This version has none."}}
    properties = {**options["properties"], **tumbling, **ignored}
    own = {name: {"anyOf": [part, {"type": "null"}]} for name, part in properties.items()}
    return _doubled({**options, "properties": own}, [name for name in own if name in AWS_OPTIONS])


def _doubled(schema: Schema, names: Any) -> Schema:
    properties = schema["properties"]
    return {**schema, "properties": {**properties, **{pascal(name): properties[name] for name in names}}}


def _mapping(options: Schema) -> Schema:
    source, target = {"$ref": "#/$defs/source"}, {"$ref": "#/$defs/target"}
    ends = {
        "source": source,
        "EventSourceArn": source,
        "event_source_arn": source,
        "target": target,
        "FunctionName": target,
        "function_name": target,
    }
    return {
        **options,
        "properties": {**ends, **_beside_a_topic(), **options["properties"]},
        "allOf": [
            _one_of(
                "source",
                "EventSourceArn",
                "event_source_arn",
                "SelfManagedEventSource",
                "self_managed_event_source",
            ),
            _one_of("target", "FunctionName", "function_name"),
        ],
    }


def _beside_a_topic() -> Schema:
    """What AWS says of a topic beside the source; only the loader looks inside."""
    name: Schema = {"type": "array", "items": {"type": "string"}}
    inner = {option: name if option == "topics" else {"type": ["object", "array"]} for option in OF_TOPICS}
    return {**inner, **{pascal(option): schema for option, schema in inner.items()}}


def _one_of(*names: str) -> Schema:
    return {"oneOf": [{"required": [name]} for name in names]}
