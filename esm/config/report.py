"""What is wrong with a configuration, collected so that everything is said at once and no secret is ever said.

A value that came from the environment or a file is known here; wherever a text would repeat it, the expression
that stands in the YAML is shown in its place.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from esm.config.nodes import Node
from esm.errors import ConfigError

_USERINFO = re.compile(r"://[^/@\s'\"]+@")
_EXPRESSION = r"\$\{[^}]*\}"
_SHORT = 4
_ELSEWHERE = {
    "auto_offset_reset": "starting_position",
    "beginning": "TRIM_HORIZON",
    "brokers": "bootstrap_servers",
    "ca_file": "ca",
    "cafile": "ca",
    "cert": "certificate",
    "consumer_group": "consumer_group_id",
    "earliest": "TRIM_HORIZON",
    "end": "LATEST",
    "group": "consumer_group_id",
    "group_id": "consumer_group_id",
    "password": "sasl",
    "sasl_mechanism": "sasl",
    "sasl_password": "sasl",
    "sasl_username": "sasl",
    "security_protocol": "tls",
    "servers": "bootstrap_servers",
    "ssl": "tls",
    "username": "sasl",
}
"""What other clients of Kafka call it, and how it is called here: spelling does not lead from one to the other."""


@dataclass(slots=True)
class Report:
    """Problems and warnings in the order they were found; each is kept once."""

    _problems: dict[tuple[str, int, str], None] = field(default_factory=dict)
    _warnings: dict[str, None] = field(default_factory=dict)
    _hidden: dict[str, str] = field(default_factory=dict)

    def problem(self, node: Node, text: str, *, under: str = "") -> None:
        """`under` names a key that is missing below the node."""
        path = ".".join(part for part in (node.path, under) if part)
        place = f"{node.file}:{node.line}: " + (f"{path}: " if path else "")
        self._problems[node.file, node.line, place + self.scrubbed(text)] = None

    def warning(self, node: Node, text: str) -> None:
        self._warnings[f"{node.file}:{node.line}: {node.path}: {self.scrubbed(text)}"] = None

    def notice(self, text: str) -> None:
        """A warning about something outside the files."""
        self._warnings[self.scrubbed(text)] = None

    def hide(self, value: str, shown: str) -> None:
        """From now on `shown` is said instead of `value`."""
        if value:
            self._hidden[value] = shown

    def scrubbed(self, text: str) -> str:
        """The text without any hidden value, and without credentials inside a URL.

        One pass, so that what was put in is not searched again; expressions that stand in the text stay.
        """
        forms = {form: shown for value, shown in self._hidden.items() for form in (value, repr(value)[1:-1])}
        found = re.compile("|".join([_EXPRESSION, *map(_pattern, sorted(forms, key=len, reverse=True))]))
        return _USERINFO.sub("://***@", found.sub(lambda match: forms.get(match[0], match[0]), text))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @property
    def found(self) -> int:
        """How many problems there are so far."""
        return len(self._problems)

    def raise_if_any(self) -> None:
        """Raises ConfigError with all problems, by file and line."""
        if self._problems:
            raise ConfigError([text for _, _, text in sorted(self._problems, key=lambda found: found[:2])])


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean `…`?` for what others call it, or what is probably a slip of the pen; otherwise nothing."""
    by_folded = {name.casefold(): name for name in known}
    folded = word.casefold()
    meant = _ELSEWHERE.get(re.sub(r"[.-]", "_", folded), "").casefold()
    near = [meant] if meant in by_folded else difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return f"; did you mean `{by_folded[near[0]]}`?" if near else ""


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def _pattern(value: str) -> str:
    """Short values are found as whole words only: a secret `1` must not eat the 1 of `1..10`."""
    escaped = re.escape(value)
    return escaped if len(value) >= _SHORT else rf"(?<![\w.]){escaped}(?![\w.])"
