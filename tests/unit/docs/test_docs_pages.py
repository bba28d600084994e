"""The pages hold together: links lead somewhere, commands of make exist, decisions have their shape."""

import re
from pathlib import Path

import pytest
from docs_pages import DECISIONS, PAGES, README, ROOT, anchors, code, links, table

from esm.model import Outcome
from esm.runtime.status import trouble
from esm.runtime.status.values import STATES

RECORDS = sorted(DECISIONS.glob("0*.md"))
OPERATIONS = ROOT / "docs" / "operations.md"
SEMANTICS = ROOT / "docs" / "semantics.md"


def test_the_pages_are_found() -> None:
    assert {README, OPERATIONS, SEMANTICS, ROOT / "CHANGELOG.md"} <= set(PAGES)
    assert len(links(README)) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        to = page.parent / name if name else page
        assert to.exists(), link
        assert not anchor or anchor in anchors(to), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets


def test_the_readme_is_one_page() -> None:
    assert len(README.read_text().splitlines()) <= 220


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_has_its_shape(record: Path) -> None:
    lines = record.read_text().splitlines()
    assert lines[0].startswith(f"# {int(record.stem[:4])}. ")
    assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]
    assert len(lines) <= 35


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(record.stem[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    said = (DECISIONS / "README.md").read_text()
    for record in RECORDS:
        title = record.read_text().splitlines()[0].removeprefix("# ")
        assert f"- [{title}]({record.name})" in said


def test_differences_that_code_and_tests_name_are_explained() -> None:
    here = Path(__file__).parent
    sources = [
        path for part in ("esm", "tests") for path in (ROOT / part).rglob("*.py") if here not in path.parents
    ]
    named = {number for path in sources for number in re.findall(r"\bD\d{1,2}\b", path.read_text())}
    assert named
    assert named <= {row[0] for row in table(SEMANTICS, "#")}


def test_operations_knows_every_state_and_refusal() -> None:
    assert {name for row in table(OPERATIONS, "state") for name in code(row[0])} == set(STATES)
    results = " ".join(row[0] for row in table(OPERATIONS, "last result begins with"))
    words = [trouble.FUNCTION_FAILED, *trouble._REFUSALS.values(), "Internal error"]
    assert all(f"PROBLEM: {word}" in results for word in words)
    assert len(trouble._REFUSALS) == len(Outcome) - 4


def test_operations_knows_the_codes_of_a_source() -> None:
    from esm.clients import aws_errors
    from esm.clients.kafka import errors as kafka_errors

    said = re.findall(r"[A-Za-z]+", " ".join(row[0] for row in table(OPERATIONS, "last result begins with")))
    codes = {code for code, _ in aws_errors._SHORT.values() if not code.startswith("Kms")}
    assert codes | {"NoCredentials", "NoRegion", "BadAnswer", "Unknown", aws_errors.UNREACHABLE, "Kms"} <= set(
        said
    )
    assert {*kafka_errors._CODES.values(), "NoBrokers"} <= set(said)


def test_operations_names_every_alert() -> None:
    rules = set(re.findall(r"alert: (\w+)", (ROOT / "deploy/prometheus/alerts.yml").read_text()))
    assert rules == set(re.findall(r"`(Esm\w+)`", OPERATIONS.read_text()))


TEXTS = [text for row in table(OPERATIONS, "what you see") for text in code(row[0])]
ELSEWHERE = {"esm status", "Failed to resolve", "127.0.0.1:9464 is in use", "no engine answers at http://…"}


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in ELSEWHERE])
def test_texts_of_the_troubleshooting_table_are_the_codes(text: str) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "esm").rglob("*.py"))
    if "so the whole batch" in text:
        text = text.partition(", so the whole batch")[0]
    assert text in re.sub(r'"\n\s+f?"', "", code)
