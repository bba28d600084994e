"""Each operator on each kind of value, and every pattern that is none."""

import json
from typing import Any

import pytest

from esm.core.filtering import DATA_KEYS, FilterSet, InvalidPattern
from esm.core.filtering.data import decoded
from esm.core.filtering.numbers import Spelled, comparable, spelling


def matches(matcher: str, value: str) -> bool:
    """Whether `[matcher]` takes a value, both in JSON."""
    return keeps(f'{{"a": [{matcher}]}}', f'{{"a": {value}}}')


def keeps(pattern: str, event: str) -> bool:
    return FilterSet([pattern], DATA_KEYS["none"]).keeps(decoded(event))


TAKES: list[tuple[str, list[str], list[str]]] = [
    # literals
    ('"x"', ['"x"'], ['"X"', '"xx"', '""', "null", "1", "{}", "[]"]),
    ('"x","y"', ['"x"', '"y"'], ['"xy"']),
    ('""', ['""'], ['" "', "null", "0", "false"]),
    ("null", ["null"], ['""', '"null"', "0", "false"]),
    ("true", ["true"], ["false", '"true"', "1", "null"]),
    ("false", ["false"], ["true", "0", "null", '""']),
    ("true, null", ["true", "null"], ["false"]),
    ("300", ["300"], ["300.0", "3.0e2", '"300"', "30", "true"]),
    ("300.0", ["300.0"], ["300", "300.00", "3.0e2"]),
    ("3.0e2", ["3.0e2"], ["3.0E2", "300"]),
    ("1", ["1"], ["true", "1.0"]),
    ("0", ["0"], ["false", "0.0"]),
    ("0.1, 5", ["0.1", "5"], ["0.10", "5.0"]),
    ("9007199254740993", ["9007199254740993"], ["9007199254740992"]),
    ('"é"', ['"é"', '"\\u00e9"'], ['"e\\u0301"']),
    # text
    ('{"prefix": "us-"}', ['"us-"', '"us-east-1"'], ['"us"', '"US-"', '"eu-us-"', "null", "1"]),
    ('{"prefix": ""}', ['""', '"x"'], ["1", "null", "true"]),
    ('{"suffix": ".png"}', ['".png"', '"a.png"'], ['"a.PNG"', '".png "', "1"]),
    ('{"suffix": ""}', ['""', '"x"'], ["1"]),
    ('{"equals-ignore-case": "aBc"}', ['"abc"', '"ABC"'], ['"abcd"', '"xabc"', '"ab"', "null"]),
    ('{"equals-ignore-case": "ß"}', ['"ß"', '"SS"'], ['"ss"', '"S"']),
    ('{"equals-ignore-case": "k"}', ['"k"', '"K"'], ['"\\u212a"']),
    ('{"equals-ignore-case": "a.b"}', ['"A.B"'], ['"axb"']),
    ('{"equals-ignore-case": "a\\nb"}', ['"A\\nB"'], ['"ab"']),
    ('{"equals-ignore-case": ""}', ['""'], ['"x"', "null"]),
    ('{"prefix": {"equals-ignore-case": "eventb"}}', ['"EventBridge"', '"EVENTB"'], ['"event"', '"xeventb"', "1"]),
    ('{"suffix": {"equals-ignore-case": ".png"}}', ['"a.PNG"', '".png"'], ['"png"', '"a.pngx"', "1", '""']),
    ('{"suffix": {"equals-ignore-case": "ß"}}', ['"aSS"', '"ß"', '"SS"'], ['"ss"', '"S"', '"SSx"', '""']),
    ('{"suffix": {"equals-ignore-case": ""}}', ['""', '"x"'], ["1"]),
    # wildcards
    ('{"wildcard": "dir/*.png"}', ['"dir/.png"', '"dir/a.png"', '"dir/a/b.png"'], ['"dir.png"', '"xdir/a.png"']),
    ('{"wildcard": "*"}', ['""', '"x"'], ["1", "null"]),
    ('{"wildcard": "a*b*c"}', ['"abc"', '"a-b-c"', '"abbcc"'], ['"ac"', '"acb"', '"abcd"', '"xabc"']),
    ('{"wildcard": "a*ab*b"}', ['"aabb"', '"a-ab-b"'], ['"aab"', '"abb"', '"ab"']),
    ('{"wildcard": "aa*aa"}', ['"aaaa"', '"aa-aa"'], ['"aaa"', '"aa"']),
    ('{"wildcard": "x"}', ['"x"'], ['"xx"', '"X"']),
    ('{"wildcard": ""}', ['""'], ['"x"']),
    ('{"wildcard": "\\\\*\\\\\\\\"}', ['"*\\\\"'], ['"x\\\\"', '"*"']),
    # anything but
    ('{"anything-but": "x"}', ['"X"', '"xx"', '""', "null", "1", "true"], ['"x"', "{}", "[]"]),
    ('{"anything-but": ["x", "y"]}', ['"z"', "1"], ['"x"', '"y"']),
    ('{"anything-but": 300}', ["301", '"300"', "300.0", "null"], ["300"]),
    ('{"anything-but": [1, 2.5]}', ["2", "2.50", "true"], ["1", "2.5"]),
    ('{"anything-but": {"prefix": "in"}}', ['"out"', "1", '"IN"'], ['"in"', '"init"']),
    ('{"anything-but": {"suffix": [".txt", ".rtf"]}}', ['"a.md"', "null"], ['"a.txt"', '".rtf"']),
    ('{"anything-but": {"equals-ignore-case": ["a", "b"]}}', ['"c"', "1"], ['"A"', '"b"']),
    ('{"anything-but": {"equals-ignore-case": ""}}', ['"c"', "1"], ['""']),
    ('{"anything-but": {"wildcard": "*/lib/*"}}', ['"/bin/x"', "1"], ['"/usr/lib/x"', '"/lib/"']),
    # numbers
    ('{"numeric": ["=", 300]}', ["300", "300.0", "3.0e2", "3E2"], ["301", '"300"', "true", "null"]),
    ('{"numeric": ["=", 0]}', ["0", "0.0", "-0.0"], ["false", "null", '""', "1e-400"]),
    ('{"numeric": ["<", 5]}', ["4", "4.9", "-1e300", "-5"], ["5", "5.0", "6", '"4"']),
    ('{"numeric": ["<=", 5]}', ["5", "5.0", "4"], ["5.1", "6"]),
    ('{"numeric": [">", 5]}', ["6", "5.1", "1e300"], ["5", "4", "1e400"]),
    ('{"numeric": [">=", 5]}', ["5", "6"], ["4.999", "true"]),
    ('{"numeric": [">", 0, "<=", 5]}', ["0.1", "5"], ["0", "5.1", "-1"]),
    ('{"numeric": [">=", 0, "<", 5]}', ["0", "4.9"], ["5", "-0.1"]),
    ('{"numeric": ["=", 0.1]}', ["0.1", "0.10", "1e-1"], ["0.1000000000000000055511151231257827"]),
    (
        '{"numeric": [">", 0]}',
        ["9007199254740992", "1000000000000000000"],
        ["9007199254740993", "1152921504606846976"],
    ),
    ('{"numeric": ["<", 0]}', ["-9007199254740992"], ["-9007199254740993"]),
    ('{"numeric": ["=", 123456789012.5]}', ["123456789012.5", "123456789012.50000000"], ["123456789012.25"]),
    # existence
    ('{"exists": true}', ['""', "null", "0", "false", "[1]", "[[1]]"], ["{}", "[]", '{"x": 1}', "[{}]"]),
    ('{"exists": false}', ["{}", "[]", '{"x": 1}', "[{}]", "[[]]"], ['""', "null", "[1]", "[{}, 1]"]),
    ('{"exists": false}, "x"', ["{}", '"x"', '["y", "x"]'], ['"y"', '["y"]']),
    ('{"exists": false}, {"exists": true}', ["{}", "1", "[]"], []),
    # addresses
    (
        '{"cidr": "10.0.0.0/24"}',
        ['"10.0.0.0"', '"10.0.0.255"', '"::ffff:10.0.0.9"'],
        ['"10.0.1.0"', '"10.0.0"', "10"],
    ),
    ('{"cidr": "10.0.0.77/31"}', ['"10.0.0.76"', '"10.0.0.77"'], ['"10.0.0.78"']),
    ('{"cidr": "0.0.0.0/0"}', ['"255.1.2.3"'], ['"::1"', '"x"', "null", "5", "true"]),
    ('{"cidr": "2001:db8::/32"}', ['"2001:DB8::7"', '"2001:0db8:0::1"'], ['"2001:db9::1"', '"2001:db8::1%eth0"']),
    ('{"cidr": "2001:db8::/127"}', ['"2001:db8::1"'], ['"2001:db8::2"']),
    # one of several
    ('"x", {"prefix": "y"}, {"numeric": [">", 5]}, null', ['"x"', '"yy"', "6", "null"], ['"z"', "5", "true"]),
]


@pytest.mark.parametrize(("matcher", "taken", "refused"), TAKES, ids=[matcher for matcher, *_ in TAKES])
def test_an_operator(matcher: str, taken: list[str], refused: list[str]) -> None:
    assert {value: matches(matcher, value) for value in taken} == dict.fromkeys(taken, True)
    assert {value: matches(matcher, value) for value in refused} == dict.fromkeys(refused, False)


@pytest.mark.parametrize("matcher", [matcher for matcher, *_ in TAKES])
def test_only_absence_takes_what_is_missing(matcher: str) -> None:
    assert keeps(f'{{"a": [{matcher}]}}', "{}") == ('"exists": false' in matcher)
    assert keeps(f'{{"b": {{"a": [{matcher}]}}}}', '{"b": 5}') == ('"exists": false' in matcher)


OBJECT = "has to be an object, or a list of what to match: write ["
KNOWN = "anything-but, cidr, equals-ignore-case, exists, numeric, prefix, suffix, wildcard"
RANGE = 'takes ["=", n], ["<", n], [">", n] or [">", n, "<", n], each also with <= and >='
SAME = "takes a text, a number, or a list of only texts or only numbers"

INVALID: dict[str, tuple[tuple[str | int, ...], str]] = {
    "": ((), "is no JSON: Expecting value: line 1 column 1 (char 0)"),
    "{": ((), "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    "null": ((), "has to be an object"),
    "5": ((), "has to be an object"),
    '"text"': ((), "has to be an object"),
    "[]": ((), "has to be an object"),
    "{}": ((), "is an empty object"),
    '{"a": [NaN]}': ((), "is no JSON: NaN"),
    '{"a": ["x"]} x': ((), "is no JSON: Extra data: line 1 column 14 (char 13)"),
    '{"a": {}}': (("a",), "is an empty object"),
    '{"a": []}': (("a",), "is an empty list"),
    '{"a": "x"}': (("a",), OBJECT + '"x"]'),
    '{"a": 1.50}': (("a",), OBJECT + "1.50]"),
    '{"a": null}': (("a",), OBJECT + "null]"),
    '{"a": {"b": true}}': (("a", "b"), OBJECT + "true]"),
    '{"a": "' + "x" * 60 + '"}': (("a",), OBJECT + '"' + "x" * 39 + "…]"),
    '{"a": [["x"]]}': (("a",), "holds a list: allowed are text, numbers, true, false, null and operators"),
    '{"a": ["x"], "a": ["y"]}': (("a",), "is given twice: put everything about it into one"),
    '{"a": [{}]}': (("a", 0), "has to hold exactly one operator"),
    '{"a": ["x", {"prefix": "x", "suffix": "y"}]}': (("a", 1), "has to hold exactly one operator"),
    '{"a": [{"starts": "x"}]}': (("a", 0, "starts"), f"is no operator: there are {KNOWN}"),
    '{"a": [{"exactly": "x"}]}': (("a", 0, "exactly"), f"is no operator: there are {KNOWN}"),
    '{"a": [{"anything_but": "x"}]}': (
        ("a", 0, "anything_but"),
        f"is no operator: there are {KNOWN}; did you mean `anything-but`?",
    ),
    '{"a": [{"equalsIgnoreCase": "x"}]}': (
        ("a", 0, "equalsIgnoreCase"),
        f"is no operator: there are {KNOWN}; did you mean `equals-ignore-case`?",
    ),
    '{"a": [{"prefix": 5}]}': (("a", 0, "prefix"), "takes text"),
    '{"a": [{"suffix": ["x"]}]}': (("a", 0, "suffix"), "takes text"),
    '{"a": [{"wildcard": null}]}': (("a", 0, "wildcard"), "takes text"),
    '{"a": [{"equals-ignore-case": true}]}': (("a", 0, "equals-ignore-case"), "takes text"),
    '{"a": [{"cidr": 5}]}': (("a", 0, "cidr"), "takes text"),
    '{"a": [{"prefix": {"suffix": "x"}}]}': (
        ("a", 0, "prefix", "suffix"),
        "is not allowed inside prefix: only equals-ignore-case is",
    ),
    '{"a": [{"suffix": {}}]}': (("a", 0, "suffix"), "has to hold exactly one operator"),
    '{"a": [{"suffix": {"equals-ignore-case": ["x"]}}]}': (("a", 0, "suffix", "equals-ignore-case"), "takes text"),
    '{"a": [{"wildcard": "a**"}]}': (("a", 0, "wildcard"), "has consecutive wildcard characters at position 1"),
    '{"a": [{"wildcard": "\\\\x"}]}': (
        ("a", 0, "wildcard"),
        "has an invalid escape character at position 0: only \\* and \\\\ are allowed",
    ),
    '{"a": [{"wildcard": "ab\\\\"}]}': (
        ("a", 0, "wildcard"),
        "has an invalid escape character at position 2: only \\* and \\\\ are allowed",
    ),
    '{"a": [{"anything-but": null}]}': (("a", 0, "anything-but"), SAME),
    '{"a": [{"anything-but": []}]}': (("a", 0, "anything-but"), SAME),
    '{"a": [{"anything-but": ["x", 1]}]}': (("a", 0, "anything-but"), SAME),
    '{"a": [{"anything-but": [1, true]}]}': (("a", 0, "anything-but"), SAME),
    '{"a": [{"anything-but": 9007199254740993}]}': (
        ("a", 0, "anything-but"),
        "has a number that a double does not hold exactly: 9007199254740993",
    ),
    '{"a": [{"anything-but": {}}]}': (("a", 0, "anything-but"), "has to hold exactly one operator"),
    '{"a": [{"anything-but": {"numeric": ["=", 1]}}]}': (
        ("a", 0, "anything-but", "numeric"),
        "is not allowed inside anything-but: allowed are equals-ignore-case, prefix, suffix, wildcard",
    ),
    '{"a": [{"anything-but": {"prefix": []}}]}': (("a", 0, "anything-but", "prefix"), "is an empty list"),
    '{"a": [{"anything-but": {"prefix": ""}}]}': (
        ("a", 0, "anything-but", "prefix"),
        "takes no empty text: everything would be excluded",
    ),
    '{"a": [{"anything-but": {"suffix": ["x", ""]}}]}': (
        ("a", 0, "anything-but", "suffix"),
        "takes no empty text: everything would be excluded",
    ),
    '{"a": [{"anything-but": {"wildcard": [5]}}]}': (("a", 0, "anything-but", "wildcard"), "takes text"),
    '{"a": [{"exists": "x"}]}': (("a", 0, "exists"), "takes true or false"),
    '{"a": [{"exists": true, "prefix": "x"}]}': (("a", 0), "has to hold exactly one operator"),
    '{"a": [{"numeric": 5}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": []}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": ["!", 5]}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": ["=", 5, "<", 6]}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": ["<", 5, ">", 1]}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": [">", 5, ">", 6]}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": [">", 5, "<", 6, "<", 7]}]}': (("a", 0, "numeric"), RANGE),
    '{"a": [{"numeric": ["=", "5"]}]}': (("a", 0, "numeric"), "takes numbers"),
    '{"a": [{"numeric": [">", "x", "<", 5]}]}': (("a", 0, "numeric"), "takes numbers"),
    '{"a": [{"numeric": [">", 1, "<", "x"]}]}': (("a", 0, "numeric"), "takes numbers"),
    '{"a": [{"anything-but": {"wildcard": "**"}}]}': (
        ("a", 0, "anything-but", "wildcard"),
        "has consecutive wildcard characters at position 0",
    ),
    '{"a": [{"numeric": ["<", true]}]}': (("a", 0, "numeric"), "takes numbers"),
    '{"a": [{"numeric": [">", 5, "<", 5]}]}': (
        ("a", 0, "numeric"),
        "has a lower bound that is not below the upper one",
    ),
    '{"a": [{"numeric": [">", 1e400]}]}': (
        ("a", 0, "numeric"),
        "has a number that a double does not hold exactly: 1e400",
    ),
    '{"a": [{"cidr": "10.0.0.0"}]}': (
        ("a", 0, "cidr"),
        "takes an address and a number of bits, such as 10.0.0.0/24",
    ),
    '{"a": [{"cidr": "10.0.0/8/8"}]}': (
        ("a", 0, "cidr"),
        "takes an address and a number of bits, such as 10.0.0.0/24",
    ),
    '{"a": [{"cidr": "10.0.0/8"}]}': (
        ("a", 0, "cidr"),
        "'10.0.0/8' does not appear to be an IPv4 or IPv6 network",
    ),
    '{"a": [{"cidr": "10.0.0.0/32"}]}': (("a", 0, "cidr"), "takes 0 to 31 bits"),
    '{"a": [{"cidr": "10.0.0.0/255.0.0.0"}]}': (("a", 0, "cidr"), "takes 0 to 31 bits"),
    '{"a": [{"cidr": "2001:db8::/128"}]}': (("a", 0, "cidr"), "takes 0 to 127 bits"),
    '{"$or": {"a": ["x"]}}': (("$or",), "has to be a list of at least two objects"),
    '{"$or": [{"a": ["x"]}]}': (("$or",), "has to be a list of at least two objects"),
    '{"$or": [{"a": ["x"]}, "x"]}': (("$or",), "has to be a list of at least two objects"),
    '{"$or": [{"a": ["x"]}, {}]}': (("$or", 1), "is an empty object"),
    '{"$or": [{"a": ["x"]}, {"b": {"prefix": ["x"]}}]}': (
        ("$or", 1, "b", "prefix"),
        "is the name of an operator, which no field inside $or may have",
    ),
    '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["y"]}]}': (
        ("$or",),
        "constrains a once more: put everything into one",
    ),
}


@pytest.mark.parametrize("pattern", INVALID, ids=list(INVALID))
def test_an_invalid_pattern(pattern: str) -> None:
    path, reason = INVALID[pattern]
    with pytest.raises(InvalidPattern) as caught:
        FilterSet([pattern], DATA_KEYS["none"])
    assert (caught.value.path, caught.value.reason) == (path, reason)


def test_an_error_names_its_place_as_a_configuration_does() -> None:
    assert str(InvalidPattern(("body", "a", 0, "numeric"), "takes numbers")) == (
        "Invalid filter pattern definition. body.a[0].numeric takes numbers"
    )
    assert str(InvalidPattern((), "is no JSON")) == "Invalid filter pattern definition. the pattern is no JSON"
    assert str(InvalidPattern((0, "x"), "is")) == "Invalid filter pattern definition. [0].x is"


@pytest.mark.parametrize("name", ["prefix", "anything-but", "=", "regex", "ip-address-not-in-range"])
def test_a_field_outside_of_or_may_have_the_name_of_an_operator(name: str) -> None:
    assert keeps(f'{{"{name}": {{"{name}": ["x"]}}}}', f'{{"{name}": {{"{name}": "x"}}}}')


STRICT = "a mapping on AWS does not take it, and strict_aws asks for what AWS does"


@pytest.mark.parametrize(
    ("matcher", "path", "reason"),
    [
        ('{"wildcard": "a*"}', ("a", 0, "wildcard"), STRICT),
        ('{"cidr": "10.0.0.0/8"}', ("a", 0, "cidr"), STRICT),
        ('{"anything-but": {"prefix": "a"}}', ("a", 0, "anything-but"), f"with an operator inside: {STRICT}"),
    ],
)
def test_d10_what_aws_has_for_event_buses_only(matcher: str, path: tuple[str | int, ...], reason: str) -> None:
    pattern = f'{{"a": [{matcher}]}}'
    FilterSet([pattern], DATA_KEYS["none"])
    with pytest.raises(InvalidPattern) as caught:
        FilterSet([pattern], DATA_KEYS["none"], strict=True)
    assert (caught.value.path, caught.value.reason) == (path, reason)


@pytest.mark.parametrize(
    "matcher",
    ['"x"', '{"prefix": {"equals-ignore-case": "x"}}', '{"anything-but": ["x"]}', '{"numeric": ["=", 1]}'],
)
def test_what_aws_documents_for_mappings_is_strict_enough(matcher: str) -> None:
    either = '"$or": [{"b": [1]}, {"c": [{"exists": false}]}]'
    FilterSet([f'{{"a": [{matcher}], {either}}}'], DATA_KEYS["none"], strict=True)


def nested(levels: int) -> str:
    return '{"a":' * levels + '["x"]' + "}" * levels


def test_a_hundred_levels_are_enough() -> None:
    assert keeps(nested(101), nested(101))
    with pytest.raises(InvalidPattern, match="is nested more than 100 deep"):
        keeps(nested(102), "{}")
    with pytest.raises(InvalidPattern, match="is nested more than 100 deep"):
        FilterSet(["[" * 4000], DATA_KEYS["none"])


def test_a_thousand_combinations_are_enough() -> None:
    def pattern(*sizes: int) -> str:
        made: dict[str, Any] = {}
        for number, size in enumerate(sizes):
            made[f"k{number}"] = {"$or": [{f"v{value}": ["x"]} for value in range(size)]}
        return json.dumps(made, separators=(",", ":"))

    assert keeps(pattern(10, 10, 10), '{"k0": {"v9": "x"}, "k1": {"v0": "x"}, "k2": {"v5": "x"}}')
    with pytest.raises(InvalidPattern, match=r"k2 makes more than 1,000 combinations of \$or"):
        FilterSet([pattern(10, 10, 11)], DATA_KEYS["none"])


def test_a_pattern_has_4096_characters() -> None:
    def pattern(length: int) -> str:
        return '{"a":["' + "x" * (length - 10) + '"]}'

    FilterSet([pattern(4096)], DATA_KEYS["none"])
    with pytest.raises(InvalidPattern, match="has 4,097 characters: at most 4,096 are allowed"):
        FilterSet([pattern(4097)], DATA_KEYS["none"])


def test_spelling() -> None:
    assert [spelling(value) for value in (5, -5, 2.5, Spelled.of("2.50"))] == ["5", "-5", "2.5", "2.50"]
    assert [spelling(value) for value in (True, None, "5", [5])] == [None] * 4


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (2.5, 2.5),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (2**53 + 1, None),
        (10**18, 1e18),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        ("5", None),
        (None, None),
        (Spelled.of("2.50"), 2.5),
        (Spelled.of("1e2"), 100.0),
        (Spelled.of("1E2"), 100.0),
        (Spelled.of("1e400"), None),
        (Spelled.of("1E400"), None),
        (Spelled.of("1e-400"), None),
        (Spelled.of("1e-9999999999999999999999"), None),
        (Spelled.of("0.30000000000000004"), 0.30000000000000004),
        (Spelled.of("0.300000000000000041"), None),
        (Spelled.of("12345678901234.5"), 12345678901234.5),
        (Spelled.of("1234567890123456.8"), 1234567890123456.8),
        (Spelled.of("1234567890123456.7"), None),
        (Spelled.of("12345678901234567.8"), None),
    ],
)
def test_what_can_be_compared(value: Any, number: float | None) -> None:
    assert comparable(value) == number
