"""The operators of a pattern, each compiled to a predicate over one scalar of an event.

The grammar is that of EventBridge (https://docs.aws.amazon.com/eventbridge/latest/userguide/
eb-create-pattern-operators.html), which Lambda uses for mappings. A predicate is given a string, a number, true,
false or null, and answers for each of them: it never raises.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from esm.core.filtering.invalid import InvalidPattern, Path
from esm.core.filtering.numbers import Spelled, comparable, spelling
from esm.core.filtering.texts import (
    Accepts,
    ignoring_case,
    prefix_ignoring_case,
    suffix_ignoring_case,
    wildcard,
)

Predicate = Callable[[Any], bool]

_NOT_OF_MAPPINGS = "a mapping on AWS does not take it, and strict_aws asks for what AWS does"
_NOT = "anything-but"
_IGNORE_CASE = "equals-ignore-case"


def predicate(operator: Mapping[str, Any], at: Path, *, strict: bool) -> Predicate:
    """What `{operator: operand}` accepts; `exists` is not one of these. Raises InvalidPattern.

    `strict` refuses the operators that AWS documents for event buses only (docs/semantics.md, D10).
    """
    name, operand = only_entry(operator, at)
    at = (*at, name)
    if name == _NOT:
        return _anything_but(operand, at, strict=strict)
    if name == "numeric":
        return _numeric(operand, at)
    if strict and name in {"wildcard", "cidr"}:
        raise InvalidPattern(at, _NOT_OF_MAPPINGS)
    if name == "cidr":
        return _cidr(text(operand, at), at)
    if name in {"prefix", "suffix"} and isinstance(operand, dict):
        return _on_text(_ignoring_case(name, operand, at))
    if name not in _TEXTS:
        raise InvalidPattern(at, f"is no operator: there are {_KNOWN}{_meant(name, operand)}")
    return _on_text(_text_operator(name, text(operand, at), at))


def only_entry(operator: Mapping[str, Any], at: Path) -> tuple[str, Any]:
    """The one operator of an object."""
    if len(operator) != 1:
        raise InvalidPattern(at, "has to hold exactly one operator")
    return next(iter(operator.items()))


def text(operand: Any, at: Path) -> str:
    """The operand of an operator that takes text."""
    if not isinstance(operand, str):
        raise InvalidPattern(at, "takes text")
    return operand


def _starts(prefix: str) -> Accepts:
    return lambda value: value.startswith(prefix)


def _ends(suffix: str) -> Accepts:
    return lambda value: value.endswith(suffix)


_TEXTS: Mapping[str, Callable[[str], Accepts]] = {
    "prefix": _starts,
    "suffix": _ends,
    _IGNORE_CASE: ignoring_case,
    "wildcard": wildcard,
}
_OPERATORS = sorted([*_TEXTS, _NOT, "numeric", "exists", "cidr"])
_KNOWN = ", ".join(_OPERATORS)


def _meant(name: str, operand: Any) -> str:
    """What to write instead: an operator in its own spelling, or a field where fields stand."""
    for operator in _OPERATORS:
        if _letters(operator) == _letters(name):
            return f"; did you mean `{operator}`?"
    if isinstance(operand, dict | list):
        return "; fields stand in an object without a list around it, alternatives in a list below $or"
    return ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name)).casefold()


def _text_operator(name: str, operand: str, at: Path) -> Accepts:
    try:
        return _TEXTS[name](operand)
    except ValueError as error:
        raise InvalidPattern(at, str(error)) from None


def _ignoring_case(name: str, operand: Mapping[str, Any], at: Path) -> Accepts:
    inner, value = only_entry(operand, at)
    if inner != _IGNORE_CASE:
        raise InvalidPattern((*at, inner), f"is not allowed inside {name}: only {_IGNORE_CASE} is")
    wanted = text(value, (*at, inner))
    return prefix_ignoring_case(wanted) if name == "prefix" else suffix_ignoring_case(wanted)


def _on_text(accepts: Accepts) -> Predicate:
    return lambda value: type(value) is str and accepts(value)


def literals(values: Sequence[Any]) -> list[Predicate]:
    """What the scalars of a matcher list accept: strings exactly, numbers by their spelling."""
    strings = frozenset(value for value in values if isinstance(value, str))
    numbers = frozenset(spelled for value in values if (spelled := spelling(value)) is not None)
    constants = [value for value in values if value is None or isinstance(value, bool)]
    found: list[Predicate] = [strings.__contains__] if strings else []
    if numbers:
        found.append(lambda value: spelling(value) in numbers)
    if constants:
        found.append(lambda value: any(value is constant for constant in constants))
    return found


def any_of(predicates: Sequence[Predicate]) -> Predicate:
    """At least one of them."""
    if len(predicates) == 1:
        return predicates[0]
    return lambda value: any(accepts(value) for accepts in predicates)


def _anything_but(operand: Any, at: Path, *, strict: bool) -> Predicate:
    """True for every scalar, of whatever type, that is not excluded; a missing field has none."""
    if isinstance(operand, dict):
        if strict:
            raise InvalidPattern(at, f"with an operator inside: {_NOT_OF_MAPPINGS}")
        excluded = any_of([_on_text(accepts) for accepts in _excluded_texts(operand, at)])
    else:
        values = operand if isinstance(operand, list) else [operand]
        _check_one_type(values, at)
        excluded = any_of(literals(values))
    return lambda value: not excluded(value)


def _check_one_type(values: Sequence[Any], at: Path) -> None:
    strings = all(isinstance(value, str) for value in values)
    if not values or not (strings or all(type(value) in {int, Spelled} for value in values)):
        raise InvalidPattern(at, "takes a text, a number, or a list of only texts or only numbers")
    if not strings:
        for value in values:
            _number(value, at)


def _excluded_texts(operand: Mapping[str, Any], at: Path) -> Iterable[Accepts]:
    name, given = only_entry(operand, at)
    at = (*at, name)
    if name not in _TEXTS:
        raise InvalidPattern(at, f"is not allowed inside {_NOT}: allowed are {', '.join(sorted(_TEXTS))}")
    values = given if isinstance(given, list) else [given]
    if not values:
        raise InvalidPattern(at, "is an empty list")
    for value in values:
        if name in {"prefix", "suffix"} and value == "":
            raise InvalidPattern(at, "takes no empty text: everything would be excluded")
        yield _text_operator(name, text(value, at), at)


_LOWER = {">": False, ">=": True}
_UPPER = {"<": False, "<=": True}


def _numeric(operand: Any, at: Path) -> Predicate:
    """`[op, number]`, or a lower and an upper bound. Compared as doubles; text is no number."""
    terms = operand if isinstance(operand, list) else []
    match terms:
        case ["=", number]:
            wanted = _number(number, at)
            return lambda value: comparable(value) == wanted
        case [("<" | "<=") as op, number]:
            return _between(float("-inf"), _number(number, at), includes=(True, _UPPER[op]))
        case [(">" | ">=") as op, number]:
            return _between(_number(number, at), float("inf"), includes=(_LOWER[op], True))
        case [(">" | ">=") as lower, bottom, ("<" | "<=") as upper, top]:
            low, high = _number(bottom, at), _number(top, at)
            if low >= high:
                raise InvalidPattern(at, "has a lower bound that is not below the upper one")
            return _between(low, high, includes=(_LOWER[lower], _UPPER[upper]))
    raise InvalidPattern(at, 'takes ["=", n], ["<", n], [">", n] or [">", n, "<", n], each also with <= and >=')


def _between(low: float, high: float, *, includes: tuple[bool, bool]) -> Predicate:
    with_low, with_high = includes

    def accepts(value: Any) -> bool:
        number = comparable(value)
        if number is None or number < low or number > high:
            return False
        return (with_low or number != low) and (with_high or number != high)

    return accepts


def _number(value: Any, at: Path) -> float:
    if type(value) not in {int, Spelled}:
        raise InvalidPattern(at, "takes numbers")
    number = comparable(value)
    if number is None:
        raise InvalidPattern(at, f"has a number that a double does not hold exactly: {spelling(value)}")
    return number


def _cidr(block: str, at: Path) -> Predicate:
    """An address of the block, written in any way; an IPv4 address inside IPv6 is that IPv4 address."""
    if block.count("/") != 1:
        raise InvalidPattern(at, "takes an address and a number of bits, such as 10.0.0.0/24")
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError as error:
        raise InvalidPattern(at, str(error)) from None
    if not block.rpartition("/")[2].isdecimal() or network.prefixlen == network.max_prefixlen:
        raise InvalidPattern(at, f"takes 0 to {network.max_prefixlen - 1} bits")

    def accepts(value: Any) -> bool:
        address = _address(value) if type(value) is str else None
        return address is not None and address in network

    return accepts


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return None if address.scope_id else address.ipv4_mapped or address
    return address
