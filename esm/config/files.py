"""Which files make up the configuration, and their text.

A directory is read with its subdirectories, in the order of names. Hidden names are skipped: editors' leftovers,
and the `..data` links through which Kubernetes swaps the content of a mounted ConfigMap (the visible links lead
to the same files).
"""

from collections.abc import Iterator
from pathlib import Path

from esm.config.nodes import Node
from esm.config.report import Report

MOST_BYTES = 4 * 1024 * 1024
_SUFFIXES = {".yaml", ".yml"}


def texts(path: Path, report: Report) -> Iterator[tuple[str, str]]:
    """Name and text of each file; a file that cannot be read is reported."""
    for file in _files(path, report):
        text = _text(file, report)
        if text is not None:
            yield str(file), text


def _files(path: Path, report: Report) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        found = list(_below(path, (path.resolve(),)))
    except OSError as error:
        report.problem(_whole(path), f"cannot be read: {error.strerror}")
        return []
    if not found:
        report.problem(_whole(path), "no configuration here: a directory needs a file *.yaml or *.yml")
    return found


def _below(folder: Path, seen: tuple[Path, ...]) -> Iterator[Path]:
    """`seen` holds the real folders on the way down: a link back into one of them is not followed."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            real = entry.resolve()
            if real not in seen:
                yield from _below(entry, (*seen, real))
        elif entry.suffix in _SUFFIXES and (entry.is_file() or not entry.exists()):
            yield entry


def _text(path: Path, report: Report) -> str | None:
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        report.problem(_whole(path), f"cannot be read: {error.strerror}")
        return None
    if len(content) > MOST_BYTES:
        report.problem(_whole(path), f"is larger than {MOST_BYTES // 1024 // 1024} MiB: split it into a directory")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        report.problem(Node(str(path), line, "", None), "is no UTF-8 text")
        return None


def _whole(path: Path) -> Node:
    return Node(str(path), 1, "", None)
