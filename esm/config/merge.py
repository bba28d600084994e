"""Several files to one: targets and mappings are put together, everything else may be said once.

Keys `x-…` at the top are room for anchors and are not looked at.
"""

from collections.abc import Sequence

from esm.config.nodes import Node
from esm.config.report import Report

_TOGETHER = ("targets", "mappings")
_EXTENSION = "x-"


def merged(roots: Sequence[Node], report: Report) -> Node:
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
