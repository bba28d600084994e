"""`${NAME}`, `${NAME:-default}` and `${file:/run/secrets/x}` inside the values of a file.

This happens on the parsed tree: what is put in stays one text inside one value, so it can never add YAML. Keys
are left alone, and `$${` stands for a literal `${`. Every value put in is remembered as a secret.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from esm.config.nodes import Node
from esm.config.report import Report

MOST_BYTES = 1024 * 1024
_EXPRESSION = re.compile(r"\$\$\{|\$\{(?P<inner>[^}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_HARMLESS = re.compile(r"true|false|\d{0,5}", re.IGNORECASE)  # hiding these would only garble our own texts
_FORMS = "write ${NAME}, ${NAME:-default}, ${file:/absolute/path}, or $${ for a literal ${"


class _UnresolvedError(Exception):
    """Its text says what is wrong with one expression."""


def interpolate(node: Node, environ: Mapping[str, str], report: Report) -> Node:
    """The tree with every expression replaced; one that cannot be is reported and its value is broken."""
    if node.entries:
        return node.holding({key: interpolate(child, environ, report) for key, child in node.entries.items()})
    if node.items:
        return node.holding([interpolate(child, environ, report) for child in node.items])
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    try:
        value, secret = _filled(node.value, environ, report)
    except _UnresolvedError as error:
        report.problem(node, str(error))
        return replace(node, broken=True)
    if secret and not _HARMLESS.fullmatch(value):
        report.hide(value, node.value)
    return node.holding(value)


def _filled(text: str, environ: Mapping[str, str], report: Report) -> tuple[str, bool]:
    """The text with its expressions replaced, and whether any of it came from outside the file."""
    secrets = []

    def put(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if not match["end"]:
            raise _UnresolvedError(f"`${{` without `}}`: {_FORMS}")
        value, secret = _resolved(match["inner"], environ)
        if secret:
            secrets.append(value)
            if not _HARMLESS.fullmatch(value):
                report.hide(value, match[0])
        return value

    return _EXPRESSION.sub(put, text), bool(secrets)


def _resolved(inner: str, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The value, and whether it came from outside the file."""
    if inner.startswith("file:"):
        return _content(inner.removeprefix("file:")), True
    variable = _VARIABLE.fullmatch(inner)
    if variable is None:
        raise _UnresolvedError(f"`${{{inner}}}` is no expression: {_FORMS}")
    name, default = variable["name"], variable["default"]
    if default is not None and "${" in default:
        raise _UnresolvedError(f"the default of `{name}` cannot hold another `${{`: {_FORMS}")
    value = environ.get(name)
    if default is not None:
        return (value, True) if value else (default, False)
    if value is None:
        raise _UnresolvedError(f"the environment has no variable `{name}`: set it, or write ${{{name}:-default}}")
    return value, True


def _content(name: str) -> str:
    """A secret's file, less the newline that editors and tools put at its end."""
    path = Path(name)
    if not path.is_absolute():
        raise _UnresolvedError(f"`${{file:{name}}}`: the path has to be absolute")
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise _UnresolvedError(f"`{name}` cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _UnresolvedError(f"`{name}` is no UTF-8 text") from None
    if len(content) > MOST_BYTES:
        raise _UnresolvedError(f"`{name}` is larger than 1 MiB")
    return text.removesuffix("\n").removesuffix("\r")
