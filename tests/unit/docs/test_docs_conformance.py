"""The page on conformance: every test that it names is there, and no row is without one."""

import ast
import re
from pathlib import Path

import pytest
from docs_pages import ROOT, code, table

PAGE = ROOT / "docs" / "conformance.md"
TABLES = ("row", "what AWS does", "what AWS sends", "of a pattern", "the trap")
NOT_YET = "not yet: no sharing between processes"
_NAMED = re.compile(r"(\w+\.py)::(test_\w+)")


def names_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


FILES = {file.name: file for file in (ROOT / "tests").rglob("test_*.py")}
NAMED = sorted({(file, test) for text in code(PAGE.read_text()) for file, test in _NAMED.findall(text)})


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_is_there(file: str, test: str) -> None:
    assert test in names_in(FILES[file])


def test_every_row_names_what_shows_it_or_says_not_yet() -> None:
    shown = [row[-1] for first in TABLES for row in table(PAGE, first)]
    assert len(shown) > 60
    assert [text for text in shown if text != NOT_YET and not _NAMED.search(text)] == []


def test_all_of_awss_answers_are_there() -> None:
    assert [row[0] for row in table(PAGE, "row")] == [str(number) for number in range(1, 17)]
