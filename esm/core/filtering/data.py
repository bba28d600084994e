"""The data of a record, as its format decides over it: a JSON object, or anything else as plain text.

Only an object counts as JSON: a body of `5` or `[1]` is plain text to a filter. That is our reading of AWS's
tables, which do not say. Data that is JSON beyond what can be read here (thousands of levels, numbers of
thousands of digits) is neither: nobody can say whether it matches.
"""

import json
from enum import Enum
from typing import Any, NoReturn

import msgspec

from esm.core.filtering.numbers import Spelled

_quickly = msgspec.json.Decoder(float_hook=Spelled.of).decode


def decoded(text: str) -> Any:
    """JSON text to a value, numbers with their spelling. Raises ValueError, RecursionError.

    Half a surrogate pair is JSON, and what is left where a text was cut in the middle of an emoji; msgspec refuses
    it.
    """
    try:
        return _quickly(text)
    except msgspec.ValidationError:
        raise
    except ValueError:
        return json.loads(text, parse_float=Spelled.of, parse_constant=_no_json)


def _no_json(constant: str) -> NoReturn:
    raise json.JSONDecodeError(f"{constant} is no JSON", constant, 0)


class Format(Enum):
    """What stands under a data key."""

    OBJECT = "JSON"
    TEXT = "a plain string"
    FOREIGN = "no UTF-8"


Data = tuple[Format, Any]

_OBJECT, _TEXT, _FOREIGN = Format.OBJECT, Format.TEXT, Format.FOREIGN  # looked up for every record


class Unreadable(ValueError):
    """The data is JSON, but more than can be read here."""


def parsed(data: Any) -> Data:
    """The format of what a record has under its data key, and the value to match. Raises Unreadable."""
    if isinstance(data, bytes):
        try:
            data = data.decode()
        except UnicodeDecodeError:
            return _FOREIGN, None
    if not isinstance(data, str):
        return (_OBJECT if type(data) is dict else _TEXT), data
    try:
        value = decoded(data)
    except json.JSONDecodeError:
        return _TEXT, data
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    return (_OBJECT, value) if type(value) is dict else (_TEXT, data)
