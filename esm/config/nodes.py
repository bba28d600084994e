"""The file's content as a tree in which every value knows where it stands.

Values keep their place through merging, renaming and interpolation, so whatever is found wrong later can be
said with file, line and path.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file.

    `path` is spelled as in the file; `line` is that of its key, or of the value itself in a list. `shown` is a
    scalar's text as it was written, which is what may be repeated to people: an interpolated value is not.
    `broken` marks what is already reported and must not be complained about again.
    """

    file: str
    line: int
    path: str
    value: "Scalar | Sequence[Node] | Mapping[str, Node]"
    shown: str = ""
    broken: bool = False

    @property
    def entries(self) -> "Mapping[str, Node]":
        """The children by key; empty for what is no mapping."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> "Sequence[Node]":
        """The children of a list; empty for what is no list."""
        return self.value if isinstance(self.value, list | tuple) else ()

    @property
    def kind(self) -> str:
        """What it is, in words for people."""
        if isinstance(self.value, Mapping):
            return "a mapping"
        if isinstance(self.value, list | tuple):
            return "a list"
        return {str: "text", bool: "true or false", type(None): "empty"}.get(type(self.value), "a number")

    def holding(self, value: "Scalar | Sequence[Node] | Mapping[str, Node]") -> "Node":
        """The same place with another value."""
        return replace(self, value=value)

    def without(self, *keys: str) -> "Node":
        """The same mapping less these keys."""
        return self.holding({key: child for key, child in self.entries.items() if key not in keys})


def plain(node: Node) -> Any:
    """The bare value, for validation."""
    if isinstance(node.value, Mapping):
        return {key: plain(child) for key, child in node.entries.items()}
    if node.items or isinstance(node.value, list | tuple):
        return [plain(child) for child in node.items]
    return node.value


def nearest(node: Node, location: Sequence[int | str]) -> tuple[Node, tuple[int | str, ...]]:
    """The deepest node on the way to a location, and what of the way was left."""
    for depth, step in enumerate(location):
        child = _child(node, step)
        if child is None:
            return node, tuple(location[depth:])
        node = child
    return node, ()


def scalars(node: Node) -> Iterator[Node]:
    """All scalars at and below a node."""
    if not node.entries and not node.items:
        yield node
    for child in (*node.entries.values(), *node.items):
        yield from scalars(child)


def _child(node: Node, step: int | str) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if step < len(node.items) else None
    return node.entries.get(step)
