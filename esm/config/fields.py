"""What an options model says of its fields: bounds, choices, secrets, and which field stands at a location.

Only what is needed to explain an error well; where a model is written in a way not foreseen here, less is said.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from esm.options import seconds


def bounds(info: FieldInfo | None) -> str:
    """`1 to 10000`, `0 or more`, `above 0`; nothing where the field has no bounds."""
    low, high = "", ""
    for mark in _metadata(info):
        match mark:
            case Ge(ge):
                low = f"{ge:.15g}"
            case Gt(gt):
                low = f"above {gt:.15g}"
            case Le(le):
                high = f"{le:.15g}"
    return _spoken(low, high) + (" seconds" if (low or high) and _is_duration(info) else "")


def _spoken(low: str, high: str) -> str:
    if low and high:
        return (
            f"{low} {'to' if low[-1].isdigit() and low[0] != 'a' and high[0].isdigit() else 'and at most'} {high}"
        )
    return low if low.startswith("above") else f"{low} or more" if low else f"{high} or less" if high else ""


def _is_duration(info: FieldInfo | None) -> bool:
    return info is not None and any(getattr(mark, "func", None) is seconds for mark in info.metadata)


def _metadata(info: FieldInfo | None) -> list[Any]:
    """Bounds stand at the field, or inside `Annotated[…] | None`."""
    if info is None:
        return []
    found = list(info.metadata)
    for part in get_args(info.annotation):
        found += getattr(part, "__metadata__", ())
    flat: list[Any] = []
    for mark in found:
        flat += mark.metadata if isinstance(mark, FieldInfo) else [mark]
    return [mark for mark in flat if isinstance(mark, Ge | Gt | Le)]


def choices(info: FieldInfo | None) -> str:
    if info is None:
        return ""
    todo, found = [info.annotation], list[str]()
    while todo:
        part = todo.pop(0)
        if get_origin(part) is Literal:
            found += [str(choice) for choice in get_args(part)]
        else:
            todo += [inner for inner in get_args(part) if inner is not ...]
    return ", ".join(found)


def holds_secret(annotation: Any) -> bool:
    if annotation is SecretStr:
        return True
    return any(holds_secret(part) for part in get_args(annotation))


def names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def owner(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that holds the last step of a location."""
    holder: type[BaseModel] | None = model
    for step in location[:-1]:
        if isinstance(step, int):  # an item belongs to its list's field
            continue
        info = _named(holder, step) if holder is not None else None
        holder = _model_in(info.annotation) if info is not None else None
    return holder


def field_at(model: type[BaseModel], location: Sequence[int | str]) -> FieldInfo | None:
    """The field at a location, or the nearest one above it: an item belongs to its list's field."""
    holder: type[BaseModel] | None = model
    info: FieldInfo | None = None
    for step in location:
        if holder is None:
            break
        info = _named(holder, step) or info
        holder = _model_in(info.annotation) if info is not None else None
    return info


def _named(model: type[BaseModel], step: int | str) -> FieldInfo | None:
    fields: Mapping[str, FieldInfo] = model.model_fields
    return fields.get(str(step)) or next((info for info in fields.values() if info.alias == step), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
