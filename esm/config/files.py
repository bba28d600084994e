"""From a file, or a directory of them, to one tree.

A directory is read with its subdirectories, in the order of names. Hidden names are skipped: editors' leftovers,
and the `..data` links through which Kubernetes swaps the content of a mounted ConfigMap (the visible links lead
to the same files). Targets and mappings of several files are put together, everything else may be said once.
Keys `x-…` at the top are room for anchors and are not looked at.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from esm.config.nodes import Node
from esm.config.parse import parse
from esm.config.report import Report

MOST_BYTES = 4 * 1024 * 1024
_SUFFIXES = {".yaml", ".yml"}
_TOGETHER = ("targets", "mappings")
_EXTENSION = "x-"


def read(path: Path, report: Report) -> Node:
    """The files as one. Raises ConfigError if one cannot be read at all: what it defines would be missing."""
    roots = []
    lost = False
    for name, text in _texts(path, report):
        before = report.found
        root = parse(text, name, report)
        lost |= root is None and report.found > before
        roots += [] if root is None else [root]
    if not roots and not report.found:
        report.problem(_whole(path), "is empty: it needs at least `mappings:`")
    if lost or not roots:
        report.raise_if_any()
    root = _merged(roots, report)
    if not root.entries:
        report.raise_if_any()
    return root


def _texts(path: Path, report: Report) -> Iterator[tuple[str, str]]:
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


def _merged(roots: Sequence[Node], report: Report) -> Node:
    """One root; whatever two files both say is reported with both places."""
    entries: dict[str, Node] = {}
    for root in roots:
        if not isinstance(root.value, dict) and not root.broken:
            report.problem(root, f"{root.kind} at the top is not allowed: has to be a mapping, with `mappings:`")
        for key, node in root.entries.items():
            if key.startswith(_EXTENSION) or (node.value is None and not node.broken):
                continue
            entries[key] = _joined(entries[key], node, key, report) if key in entries else node
    return roots[0].holding(entries)


def _joined(first: Node, second: Node, key: str, report: Report) -> Node:
    if key not in _TOGETHER or not first.entries or not second.entries:
        _say_twice(first, second, report)
        return first
    for name in first.entries.keys() & second.entries.keys():
        _say_twice(first.entries[name], second.entries[name], report)
    return first.holding({**second.entries, **first.entries})


def _say_twice(first: Node, second: Node, report: Report) -> None:
    report.problem(second, f"given twice: first in {first.file}:{first.line}")
