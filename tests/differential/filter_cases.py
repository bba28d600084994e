"""Random patterns and events in the language that AWS's matcher and ours share, from a seed.

Half of the patterns are derived from their event, so that they nearly match: the interesting cases are those
in which one element of an array, one character or one bound decides. Numbers have one spelling each, because
their spelling is where the two are meant to differ.
"""

import json
import random
from collections.abc import Callable
from typing import Any

STRINGS = (
    "x", "xy", "", "X", "abc", "aBc", "é", "É", "ß", "SS", "k", "\u212a", "s", "\u017f", "*", "a*b", "\\", "300",
    "a.b", "null", "😀",
)  # fmt: skip
TWINS = {"ß": "SS", "SS": "ß", "k": "\u212a", "\u212a": "k", "s": "\u017f", "\u017f": "s"}
"""Texts that some ways to ignore case take for equal, and others do not."""

ADDRESSES = ("10.0.0.1", "10.0.0.77", "10.0.1.1", "2001:db8::7")
NUMBERS = ("0", "1", "-1", "5", "300", "2.5", "-0.25", "0.1", "1000000000000000000")
INEXACT = ("9007199254740993", "12345678901234567890")
KEYS = ("a", "b", "c", "d-", "e")


class Number(str):
    """A number of an event, by its text."""

    __slots__ = ()


class Cases:
    """Draws cases; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def case(self) -> tuple[str, str]:
        """A pattern and an event, both in JSON text; the pattern may be invalid."""
        event = self._object(3)
        pattern = None
        if self._likely(0.8):
            pattern = self._near(json.loads(event, parse_int=Number, parse_float=Number))
        return pattern or self._pattern(3), event

    def _likely(self, share: float) -> bool:
        return self._chance.random() < share

    def _of(self, *choices: Any) -> Any:
        return self._chance.choice(choices)

    def _quoted(self, text: str) -> str:
        return json.dumps(text, ensure_ascii=self._likely(0.5))

    # Events

    def _value(self, depth: int) -> str:
        if depth and self._likely(0.35):
            return self._object(depth - 1)
        if depth and self._likely(0.4):
            return "[" + ",".join(self._value(depth - 1) for _ in range(self._chance.randint(0, 3))) + "]"
        return self._scalar()

    def _object(self, depth: int) -> str:
        keys = self._chance.sample(KEYS, self._chance.randint(0, 4))
        return "{" + ",".join(f"{self._quoted(key)}:{self._value(depth)}" for key in keys) + "}"

    def _scalar(self) -> str:
        if self._likely(0.5):
            return self._quoted(self._of(*STRINGS, *ADDRESSES))
        return str(self._of(*NUMBERS, *INEXACT)) if self._likely(0.5) else str(self._of("true", "false", "null"))

    # Patterns of their own

    def _pattern(self, depth: int) -> str:
        keys = self._chance.sample(KEYS, self._chance.randint(1, 2)) if self._likely(0.98) else []
        members = [f"{self._quoted(key)}:{self._below(depth)}" for key in keys]
        if depth and self._likely(0.1):
            members.insert(self._chance.randint(0, len(members)), self._either(depth))
        return "{" + ",".join(members) + "}"

    def _below(self, depth: int) -> str:
        if depth and self._likely(0.5):
            return self._pattern(depth - 1)
        least = 0 if self._likely(0.05) else 1
        return "[" + ",".join(self._matcher() for _ in range(self._chance.randint(least, 2))) + "]"

    def _either(self, depth: int) -> str:
        least = 1 if self._likely(0.1) else 2
        return '"$or":[' + ",".join(self._pattern(depth - 1) for _ in range(self._chance.randint(least, 3))) + "]"

    def _matcher(self) -> str:
        if self._likely(0.5):
            return self._operator()
        if self._likely(0.6):
            return self._quoted(self._of(*STRINGS))
        return str(self._of(*NUMBERS, *INEXACT)) if self._likely(0.5) else str(self._of("true", "false", "null"))

    def _operator(self) -> str:
        one_case = [text for text in STRINGS if text != "😀"]
        name, operand = self._of(
            ("prefix", lambda: self._quoted(self._of(*STRINGS)[:1])),
            ("suffix", lambda: self._quoted(self._of(*STRINGS)[-1:])),
            ("equals-ignore-case", lambda: self._quoted(self._of(*one_case))),
            ("prefix", lambda: '{"equals-ignore-case":' + self._quoted(self._of(*one_case)) + "}"),
            ("suffix", lambda: '{"equals-ignore-case":' + self._quoted(self._of(*one_case)) + "}"),
            ("anything-but", lambda: self._some(lambda: self._quoted(self._of(*STRINGS)))),
            ("anything-but", lambda: self._some(lambda: str(self._of(*NUMBERS)))),
            ("anything-but", self._nested),
            ("wildcard", self._wildcard),
            ("numeric", self._range),
            ("exists", lambda: self._of("true", "false", "false", '"x"')),
            ("cidr", lambda: self._of('"10.0.0.0/24"', '"10.0.0.0/31"', '"2001:db8::/32"', '"10.0.0.0/32"')),
        )
        return f'{{"{name}":{operand()}}}'

    def _nested(self) -> str:
        one_case = [text for text in STRINGS if text != "😀"]
        name = self._of("prefix", "suffix", "equals-ignore-case", "wildcard")
        draw = self._wildcard if name == "wildcard" else lambda: self._quoted(self._of(*one_case))
        return f'{{"{name}":{self._some(draw)}}}'

    def _some(self, draw: Callable[[], str]) -> str:
        """One, or a list of them."""
        if self._likely(0.5):
            return draw()
        return "[" + ",".join(draw() for _ in range(self._chance.randint(1, 3))) + "]"

    def _wildcard(self) -> str:
        parts = ("a", "b", "x", "*", "*", "\\*", "\\\\", "")
        return self._quoted("".join(self._of(*parts) for _ in range(self._chance.randint(0, 4))))

    def _range(self) -> str:
        first, second = self._of("=", "<", "<=", ">", ">="), self._of("<", "<=", ">")
        low, high = (self._of(*NUMBERS, *INEXACT) if self._likely(0.1) else self._of(*NUMBERS) for _ in "12")
        return f'["{first}",{low}]' if self._likely(0.5) else f'["{first}",{low},"{second}",{high}]'

    # Patterns that nearly match

    def _near(self, value: Any) -> str | None:
        """A pattern for an object, or for one of the objects in an array; None where there is none."""
        if isinstance(value, list):
            inside = [one for one in value if isinstance(one, dict)]
            return self._near(self._of(*inside)) if inside and self._likely(0.8) else None
        keys = self._chance.sample(list(value), min(len(value), self._chance.randint(1, 3)))
        members = [f"{self._quoted(key)}:{self._near_value(value[key])}" for key in keys]
        missing = self._of(*KEYS)
        if missing not in value and self._likely(0.25):
            matcher = self._of('{"exists":false}', self._matcher())
            members.append(f"{self._quoted(missing)}:[{matcher}]")
        if members and self._likely(0.1):
            either = f'"$or":[{self._pattern(1)},{{"zz":[{{"exists":false}}]}}]'
            members.insert(self._chance.randint(0, len(members)), either)
        return "{" + ",".join(members) + "}" if members else None

    def _near_value(self, value: Any) -> str:
        if isinstance(value, dict | list) and self._likely(0.85):
            below = self._near(value)
            if below is not None:
                return below
        matchers = [self._taking(value)]
        matchers += [self._matcher()] if self._likely(0.2) else []
        matchers += ['{"exists":false}'] if self._likely(0.1) else []
        self._chance.shuffle(matchers)
        return "[" + ",".join(matchers) + "]"

    def _taking(self, value: Any) -> str:
        """A matcher that takes one of the scalars of a value, or their absence."""
        found = list(_scalars(value))
        if not found:
            return str(self._of('{"exists":false}', self._matcher()))
        one = self._of(*found)
        if isinstance(one, Number):
            upper, between = f'{{"numeric":["<=",{one}]}}', f'{{"numeric":[">",-99,"<",{one}]}}'
            return str(self._of(one, upper, between, '{"exists":true}'))
        return self._taking_text(one) if isinstance(one, str) else json.dumps(one)

    def _taking_text(self, text: str) -> str:
        if text in ADDRESSES:
            return str(self._of('{"cidr":"10.0.0.0/24"}', '{"exists":true}', '{"prefix":"10."}', '{"suffix":"7"}'))
        cut = self._chance.randint(0, len(text))
        swapped = self._of(text.swapcase(), TWINS.get(text, text)) if text != "😀" else "x"
        wild = text[:1].replace("\\", "\\\\").replace("*", "\\*") + "*"
        name, operand = self._of(
            ("", text),
            ("prefix", text[:cut]),
            ("suffix", text[cut:]),
            ("equals-ignore-case", swapped),
            ("anything-but", text + "z"),
            ("anything-but", text),
            ("wildcard", wild),
        )
        return f'{{"{name}":{self._quoted(operand)}}}' if name else self._quoted(operand)


def _scalars(value: Any) -> Any:
    if isinstance(value, list):
        for one in value:
            yield from _scalars(one)
    elif not isinstance(value, dict):
        yield value
