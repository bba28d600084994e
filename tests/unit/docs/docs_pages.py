"""Reads the project's Markdown: its pages, code blocks, tables and links."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
FUNCTIONS = ROOT / "docs" / "functions.md"
METRICS = ROOT / "docs" / "metrics.md"
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_RULER = re.compile(r"\|[ :|-]+\|")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in `language`."""
    return [body for found, body in _BLOCK.findall(page.read_text()) if found == language]


def links(page: Path) -> list[str]:
    return _LINK.findall(_BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """What `#…` may name on a page, as GitHub makes it of headings."""
    found = _HEADING.findall(_BLOCK.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def table(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose first column is headed `first`."""
    lines = page.read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |"))
    assert _RULER.fullmatch(lines[start + 1])
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line[1:-1].split("|")])
    return rows


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return _CODE.findall(text)
