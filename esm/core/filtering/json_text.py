"""Patterns as JSON text: read so that nothing is lost that a pattern means, and written back as they were."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from esm.core.filtering.invalid import InvalidPattern
from esm.core.filtering.numbers import Spelled

DEEPEST = 100
"""Levels of objects in a pattern at most; ours."""


def read(text: str) -> Any:
    """The value, its numbers with their spelling. Raises InvalidPattern, also for a key given twice."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=Spelled.of, parse_constant=_no_constant)
    except InvalidPattern:
        raise
    except ValueError as error:
        raise InvalidPattern((), f"is no JSON: {error}") from None
    except RecursionError:
        raise InvalidPattern((), f"is nested more than {DEEPEST} deep") from None


def written(value: Any) -> str:
    """Back to JSON, with numbers as they were written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(name)}: {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return str(value.text) if isinstance(value, Spelled) else json.dumps(value, ensure_ascii=False)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise InvalidPattern((name,), "is given twice: put everything about it into one")
        made[name] = value
    return made


def _no_constant(text: str) -> NoReturn:
    raise InvalidPattern((), f"is no JSON: {text}")
