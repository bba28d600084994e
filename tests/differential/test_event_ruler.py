"""Our filters beside AWS's own matcher, event-ruler: the same answer, except where Lambda documents another.

`RULER_CASES=200000 RULER_SEED=7` asks for more of them and for others.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from filter_cases import Cases

from esm.core.filtering import DATA_KEYS, FilterSet, InvalidPattern
from esm.core.filtering.data import decoded

CASES = int(os.environ.get("RULER_CASES", "12000"))
SEED = int(os.environ.get("RULER_SEED", "0"))
DRIVER = Path(__file__).with_name("EventRuler.java")
OPERATORS = (
    "prefix", "suffix", "equals-ignore-case", "anything-but", "wildcard", "numeric", "exists", "cidr", "$or",
)  # fmt: skip

Case = tuple[str, str]


def theirs(jars: Path, cases: Sequence[Case]) -> list[str]:
    """What event-ruler answers: true, false or invalid."""
    lines = "".join(json.dumps({"pattern": pattern, "event": event}) + "\n" for pattern, event in cases)
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{jars}/lib/*", str(DRIVER)]
    ran = subprocess.run(java, input=lines, check=False, capture_output=True, text=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def ours(case: Case) -> str:
    pattern, event = case
    try:
        return str(FilterSet([pattern], DATA_KEYS["none"]).keeps(decoded(event))).lower()
    except InvalidPattern:
        return "invalid"


@pytest.mark.timeout(600)
def test_random_patterns_and_events(event_ruler: Path) -> None:
    draw = Cases(SEED)
    cases = [draw.case() for _ in range(CASES)]
    answers = theirs(event_ruler, cases)
    different = [
        f"ours {mine}, AWS's {answer}: {case[0]} on {case[1]}"
        for case, answer in zip(cases, answers, strict=True)
        if (mine := ours(case)) != answer
    ]
    assert not different, f"{len(different)} of {CASES:,}:\n" + "\n".join(different[:10])
    _check_that_it_is_worth_something(cases, answers)


def _check_that_it_is_worth_something(cases: Sequence[Case], answers: Sequence[str]) -> None:
    """Every answer is frequent, and every operator has both matched and not."""
    counts = Counter(answers)
    assert min(counts[answer] for answer in ("true", "false", "invalid")) > CASES / 20, counts
    seen = Counter(
        (name, answer)
        for (pattern, _), answer in zip(cases, answers, strict=True)
        for name in OPERATORS
        if f'"{name}":' in pattern
    )
    often = {(name, answer) for name in OPERATORS for answer in ("true", "false")}
    assert not {key for key in often if seen[key] < CASES / 1000}, seen


_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html"
_EVENTBRIDGE = "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html"

# pattern, event, our answer, event-ruler's, why ours
DIVERGENCES: dict[str, tuple[str, str, str, str, str]] = {
    "a number is its spelling": (
        '{"a": [300]}', '{"a": 300.0}', "false", "true",
        f"300, 300.0 and 3.0e2 are not equal: {_LAMBDA}",
    ),
    "also where it is excluded": (
        '{"a": [{"anything-but": 300}]}', '{"a": 3.0e2}', "true", "false",
        f"300, 300.0 and 3.0e2 are not equal: {_LAMBDA}",
    ),
    "text that is an address is still text": (
        '{"a": ["2001:db8::1"]}', '{"a": "2001:db8:0:0:0:0:0:1"}', "false", "true",
        f"strings match character by character, nothing is normalised: {_LAMBDA}",
    ),
    "leading zeros": (
        '{"a": ["10.0.0.1"]}', '{"a": "010.0.0.1"}', "false", "true",
        f"strings match character by character, nothing is normalised: {_LAMBDA}",
    ),
    "an address with leading zeros is none": (
        '{"a": [{"cidr": "10.0.0.0/24"}]}', '{"a": "010.0.0.1"}', "false", "true",
        f"`cidr` is for IPv4 and IPv6 addresses; some read 010 as 8: {_EVENTBRIDGE}",
    ),
    "a dot in a pattern's name is no step": (
        '{"a.b": ["x"]}', '{"a": {"b": "x"}}', "false", "true",
        f"a pattern has the structure of the record: {_LAMBDA}",
    ),
    "a dot in a record's name is no step": (
        '{"a": {"b": ["x"]}}', '{"a.b": "x"}', "false", "true",
        f"a pattern has the structure of the record: {_LAMBDA}",
    ),
    "an operator of event-ruler alone": (
        '{"a": [{"exactly": "x"}]}', '{"a": "x"}', "invalid", "true",
        f"not in the table of operators: {_EVENTBRIDGE}",
    ),
    "something behind the pattern": (
        '{"a": ["x"]} {', '{"a": "x"}', "invalid", "true",
        f"broken JSON is refused: {_LAMBDA}",
    ),
    "characters beyond the first 65,536": (
        '{"a": [{"equals-ignore-case": "😀"}]}', '{"a": "😀"}', "true", "false",
        f"`equals-ignore-case` works on string values: {_EVENTBRIDGE}",
    ),
    "a letter in title case": (
        '{"a": [{"equals-ignore-case": "ǅ"}]}', '{"a": "ǅ"}', "true", "false",
        f"`equals-ignore-case` works on string values: {_EVENTBRIDGE}",
    ),
    "a key twice in a record": (
        '{"a": ["x"]}', '{"a": "x", "a": "y"}', "false", "true",
        "the last one holds, as for every function that parses the record; RFC 8259 leaves it open",
    ),
}  # fmt: skip


def test_where_we_differ_and_why(event_ruler: Path) -> None:
    """Each is looked at on both sides, so that a new version that agrees is noticed."""
    cases = [(pattern, event) for pattern, event, *_ in DIVERGENCES.values()]
    answers = dict(zip(DIVERGENCES, zip(map(ours, cases), theirs(event_ruler, cases), strict=True), strict=True))
    assert answers == {name: (mine, other) for name, (_, _, mine, other, _) in DIVERGENCES.items()}
