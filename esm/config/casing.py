"""AWS's spellings of a mapping's options, brought to one: snake_case as in Terraform.

The `Properties` of a CloudFormation `AWS::Lambda::EventSourceMapping` come in PascalCase, a Terraform resource
in snake_case with a few singular blocks; both may be pasted as they are. Paths in errors keep the file's spelling.
"""

import re
from collections.abc import Callable

from esm.config.aws_options import AWS_OPTIONS
from esm.config.nodes import Node
from esm.config.report import Report

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NAMES = {
    "event_source_arn": "source",
    "function_name": "target",
    "source_access_configuration": "source_access_configurations",
    "filter": "filters",
    "destination_arn": "destination",
}
# The keys inside are the user's own, of an event, or belong to a plugin.
_OPAQUE = {"source", "target", "tags", "pattern", "destination", "fallback"}


def normalised(body: Node, report: Report) -> Node:
    """A mapping's body with every name of AWS in snake_case, also inside options that nest."""
    return _renamed(body, report, lambda name: name in AWS_OPTIONS and name not in _OPAQUE)


def canonical(key: str) -> str:
    """`BatchSize` to `batch_size`; a name that is snake_case already stays."""
    snake = _HUMPS.sub("_", key).lower() if key[:1].isupper() else key
    return _NAMES.get(snake, snake)


def pascal(name: str) -> str:
    """`batch_size` to `BatchSize`, for suggestions and the schema."""
    return "".join(part.capitalize() for part in name.split("_"))


def _renamed(node: Node, report: Report, descends: Callable[[str], bool]) -> Node:
    renamed: dict[str, Node] = {}
    for key, child in node.entries.items():
        name = canonical(key)
        if name in renamed:
            report.problem(child, f"given twice, first in line {renamed[name].line} in another spelling")
        else:
            renamed[name] = _deep(child, report) if descends(name) else child
    return node.holding(renamed)


def _deep(node: Node, report: Report) -> Node:
    if node.items:
        return node.holding([_deep(item, report) for item in node.items])
    return _renamed(node, report, lambda name: name not in _OPAQUE) if node.entries else node
