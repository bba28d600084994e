"""What the text operators of a pattern accept: each a predicate over strings, linear in the string's length."""

import re
from collections.abc import Callable

Accepts = Callable[[str], bool]


def ignoring_case(text: str) -> Accepts:
    """Equal but for case. Each character stands for its own upper and lower case, nothing is normalised."""
    return _is_found(re.compile(_cases(text)).fullmatch)


def prefix_ignoring_case(text: str) -> Accepts:
    return _is_found(re.compile(_cases(text)).match)


def suffix_ignoring_case(text: str) -> Accepts:
    """The suffix may be longer or shorter than its own upper case (`ß`), so its length says nothing."""
    ending = re.compile(_cases(text))
    longest = 3 * len(text)  # no case of a character is longer than three

    def accepts(value: str) -> bool:
        tail = value[-longest:] if longest else ""
        return any(ending.fullmatch(tail, start) for start in range(len(tail) + 1))

    return accepts if any(len(case) != 1 for c in text for case in _both(c)) else _same_length(ending, len(text))


def wildcard(text: str) -> Accepts:
    r"""`*` stands for any characters or none, `\*` and `\\` for themselves. Raises ValueError with the reason."""
    parts = _parts(text)
    if len(parts) == 1:
        return parts[0].__eq__
    first, *middle, last = parts
    shortest = sum(map(len, parts))

    def accepts(value: str) -> bool:
        if len(value) < shortest or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return accepts


def _parts(text: str) -> list[str]:
    """What stands between the wildcards, unescaped."""
    parts = [""]
    at = 0
    while at < len(text):
        step = text[at : at + 2]
        if step == "**":
            raise ValueError(f"has consecutive wildcard characters at position {at}")
        if step in {"\\*", "\\\\"}:
            parts[-1] += step[1]
            at += 2
            continue
        if step[0] == "\\":
            raise ValueError(f"has an invalid escape character at position {at}: only \\* and \\\\ are allowed")
        if step[0] == "*":
            parts.append("")
        else:
            parts[-1] += step[0]
        at += 1
    return parts


def _both(character: str) -> tuple[str, ...]:
    return tuple({character: None, character.lower(): None, character.upper(): None})


def _cases(text: str) -> str:
    return "".join(f"(?:{'|'.join(map(re.escape, _both(character)))})" for character in text)


def _same_length(ending: re.Pattern[str], length: int) -> Accepts:
    def accepts(value: str) -> bool:
        return len(value) >= length and ending.fullmatch(value, len(value) - length) is not None

    return accepts


def _is_found(find: Callable[[str], object]) -> Accepts:
    def accepts(value: str) -> bool:
        return find(value) is not None

    return accepts
