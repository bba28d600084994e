"""JSON numbers as filters see them: spelled for literals, compared for ranges.

A number literal in a pattern is compared by how it is written: 300, 300.0 and 3.0e2 are three different ones
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html). A range compares values, and only
those that a double holds exactly
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html).
"""

from decimal import Decimal
from math import isfinite
from typing import Any

_EXACT = 2**53
_ALWAYS_EXACT = 16  # characters of a number without exponent: at most 15 digits, which a double holds


class Spelled(float):
    """A number with a fraction or an exponent, and `text`, how it was written."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def of(cls, text: str) -> "Spelled":
        """From its JSON text."""
        number = cls(text)
        number.text = text
        return number


def spelling(value: Any) -> str | None:
    """How a number was written, None for what is none; a float without its text is spelled as Python does."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is Spelled:
        return str(value.text)
    return repr(value) if kind is float else None


def comparable(value: Any) -> float | None:
    """The number to compare, None for what is no number or none that a double holds exactly."""
    kind = type(value)
    if kind is int:
        return value if -_EXACT <= value <= _EXACT else _exact(str(value))
    if kind is Spelled:
        text = value.text
        plain = len(text) <= _ALWAYS_EXACT and "e" not in text and "E" not in text
        return float(value) if plain else _exact(text)
    return value if kind is float and isfinite(value) else None


def _exact(text: str) -> float | None:
    number = float(text)
    try:
        return number if isfinite(number) and Decimal(repr(number)) == Decimal(text) else None
    except ArithmeticError:  # an exponent that even Decimal does not hold
        return None
