"""What pydantic finds, said for people: where in the file, what is wrong, what is allowed, did you mean.

Works for every options model, a plugin's included. Values are repeated only as they stand in the file, and not
at all where the model holds a secret.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from esm.config.casing import pascal
from esm.config.fields import bounds, choices, field_at, holds_secret, names, owner
from esm.config.nodes import Node, nearest, plain, scalars
from esm.config.report import Report, listed, suggestion

M = TypeVar("M", bound=BaseModel)

_LONGEST_SHOWN = 60
_WORD = re.compile(r"[\w.-]+")
_IN_AWS_CASING = re.compile(r"(defaults|mappings\.[^.]+)\.(?!(source|target)\.)")
_RANGES = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_OWN_PLACE = {"missing", "extra_forbidden"}
_PREDICATES = {"is", "has", "holds", "needs"}
_SHAPES = {
    "bool": "true or false",
    "dict": "a mapping (key: value)",
    "mapping": "a mapping (key: value)",
    "model": "a mapping (key: value)",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "string": "text",
    "url": "a URL",
    "list": "a list",
    "set": "a list",
    "frozen": "a list",
    "tuple": "a list",
    "path": "a path",
}


def validated(model: type[M], node: Node, report: Report, *, also: Iterable[str] = ()) -> M | None:
    """The model, or None with everything wrong in the report. `also`: keys that are known but not the model's."""
    try:
        return model.model_validate(plain(node), by_alias=True, by_name=True)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            _say(model, node, fault, report, also)
        return None


def unknown(node: Node, known: Sequence[str], report: Report, others: Sequence[str] = ()) -> None:
    """Say that a mapping has no such key. `others` may be what was meant, but would be no use either.

    Only options of event source mappings have AWS's casing as well; all others are snake_case.
    """
    key = node.path.rpartition(".")[2]
    if key[:1].isupper() and _IN_AWS_CASING.match(node.path):
        known, others = [pascal(name) for name in known], [pascal(name) for name in others]
    hint = suggestion(key, [*known, *others])
    allowed = f": known are {listed(sorted(known))}" if known and not hint else ""
    report.problem(node, f"unknown option{hint or allowed}")


def shown(node: Node) -> str:
    """A value as it stands in the file, shortened."""
    if not isinstance(node.value, str | int | float) and node.value is not None:
        return node.kind
    text = node.shown or "nothing"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _say(model: type[BaseModel], node: Node, fault: ErrorDetails, report: Report, also: Iterable[str]) -> None:
    place, left = nearest(node, fault["loc"])
    if place.broken or (fault["type"] not in _OWN_PLACE and any(part.broken for part in scalars(place))):
        return
    info = field_at(model, fault["loc"])
    if fault["type"] == "missing":
        report.problem(place, _missing(info), under=".".join(str(step) for step in left))
    elif fault["type"] == "extra_forbidden":
        holder = owner(model, fault["loc"]) or model
        extra = also if len(fault["loc"]) == 1 else ()
        unknown(place, [*names(holder), *extra], report)
    else:
        secret = info is not None and holds_secret(info.annotation)
        report.problem(place, _text(place, fault, info, secret=secret))


def _text(place: Node, fault: ErrorDetails, info: FieldInfo | None, *, secret: bool) -> str:
    value = "the value" if secret else shown(place)
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return _said(place, value, str(context.get("error", "")), secret=secret)
    if kind == "too_long":
        return f"has {context['actual_length']} entries: at most {context['max_length']} allowed"
    if kind in _RANGES:
        return f"{value} is out of range: allowed is {bounds(info) or fault['msg'].partition(' be ')[2]}"
    return f"{value} is not allowed: {_allowed(place, fault, info, secret=secret)}"


def _said(place: Node, value: str, text: str, *, secret: bool) -> str:
    """What a validator says: a whole sentence, or one that lacks its subject."""
    for scalar in scalars(place) if secret else ():
        text = text.replace(scalar.shown, "***") if scalar.shown else text
    begins = text.partition(" ")[0]
    if isinstance(place.value, Mapping) or begins not in {*_PREDICATES, "write"}:
        return text
    return f"{value} is not allowed: {text}" if begins == "write" else f"{value} {text}"


def _allowed(place: Node, fault: ErrorDetails, info: FieldInfo | None, *, secret: bool) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        expected = choices(info) or str(context.get("expected", "")).replace("'", "")
        near = "" if secret else suggestion(place.shown, expected.split(", "))
        return f"allowed {'are' if ', ' in expected else 'is'} {expected}{near}"
    if kind == "string_pattern_mismatch":
        return f"has to match {context['pattern']}"
    if kind.endswith("too_short"):
        return f"has to be longer: at least {context['min_length']}"
    shape = _SHAPES.get(kind.partition("_")[0], "")
    limits = bounds(info) if "number" in shape else ""
    words = place.shown.split() if isinstance(place.value, str) and not secret else []
    if shape == "a list" and words and all(map(_WORD.fullmatch, words)):
        return f"has to be a list: write [{', '.join(words)}]"
    if shape == "text" and secret and isinstance(place.value, bool | int | float):
        return "has to be text: put it in quotes"  # any text will do, so quotes are all that is missing
    return f"has to be {shape}{f', {limits}' if limits else ''}" if shape else fault["msg"].lower()


def _missing(info: FieldInfo | None) -> str:
    about = f": {info.description}" if info is not None and info.description else ""
    return f"is required but missing{about}"
