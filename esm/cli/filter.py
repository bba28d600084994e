"""`esm filter`: whether the records of an event pass a pattern, and which field decided."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from esm.cli.complain import NOT_STARTED, lines
from esm.core.filtering import DATA_KEYS, FilterSet, InvalidPattern, patterns_in, read_event, records_of, view_of
from esm.core.filtering.explain import explained

_NO_MATCH = 1


class _Unusable(Exception):
    """Its text says why the pattern or the event cannot be used."""


def try_filter(pattern: str, event: str, source: str, *, explain: bool, strict: bool) -> int:
    """The exit code: 0 if a record matches, 1 if none does, 2 if the pattern or the event is no use."""
    try:
        filters = FilterSet(patterns_in(_given(pattern)), DATA_KEYS[source], strict=strict)
        views = [_view(record, source) for record in records_of(read_event(_given(event)), source)]
    except (InvalidPattern, _Unusable) as error:
        lines([str(error)])
        return NOT_STARTED
    except ValueError as error:
        lines([f"the event is no JSON: {error}"])
        return NOT_STARTED
    kept = [filters.keeps(view) for view in views]
    for number, (view, matches) in enumerate(zip(views, kept, strict=True), start=1):
        typer.echo(f"{f'{number}: ' if len(views) > 1 else ''}{'match' if matches else 'no match'}")
        _say_why(explained(filters, view) if explain else ())
    return 0 if any(kept) else _NO_MATCH


def _say_why(reasons: Sequence[str]) -> None:
    for reason in reasons:
        typer.echo(f"  {reason.encode(errors='backslashreplace').decode()}")  # half a surrogate pair, perhaps


def _view(record: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise _Unusable("a record has to be a JSON object")
    return view_of(record, source)


def _given(text: str) -> str:
    """JSON itself, or the content of a file."""
    if text.lstrip()[:1] in {"{", "["}:
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Unusable(f"{text!r} is neither JSON nor a file that can be read: {error}") from None
