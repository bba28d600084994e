"""`esm filter`: whether the records of an event pass a pattern, and which field decided."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from esm.cli.complain import NOT_STARTED, lines, warnings
from esm.config.filters import json_text, no_field
from esm.core.filtering import (
    DATA_KEYS,
    FilterSet,
    InvalidPattern,
    looks_like,
    patterns_in,
    read_event,
    records_of,
    view_of,
)
from esm.core.filtering.explain import explained
from esm.errors import ConfigError

_NO_MATCH = 1


class _Unusable(Exception):
    """Its text says why the pattern or the event cannot be used."""


def try_filter(pattern: str, event: str, source: str, *, explain: bool, strict: bool) -> int:
    """The exit code: 0 if a record matches, 1 if none does, 2 if the pattern or the event is no use."""
    try:
        filters = FilterSet(patterns_in(_pattern(pattern)), DATA_KEYS[source], strict=strict)
        records = records_of(read_event(_given(event)), source)
        views = [_view(record, source) for record in records]
    except (InvalidPattern, _Unusable) as error:
        lines([str(error)])
        return NOT_STARTED
    except ValueError as error:
        lines([f"the event is no JSON: {error}"])
        return NOT_STARTED
    warnings(_doubts(filters, records, views, source))
    kept = [filters.keeps(view) for view in views]
    for number, (view, matches) in enumerate(zip(views, kept, strict=True), start=1):
        typer.echo(f"{f'{number}: ' if len(views) > 1 else ''}{'match' if matches else 'no match'}")
        _say_why(explained(filters, view) if explain else ())
    return 0 if any(kept) else _NO_MATCH


def _doubts(
    filters: FilterSet, records: Sequence[Mapping[str, Any]], views: Sequence[Mapping[str, Any]], source: str
) -> Iterator[str]:
    """What is probably not meant, because the outcome would be no answer to the question."""
    keys = DATA_KEYS[source]
    yield from (f"the pattern: {no_field(name, keys)}" for name in filters.strange())
    if not views:
        yield "the event holds no records"
    elif keys.names and not any(name in view for view in views for name in keys.names):
        yield f"no record has `{keys.names[0]}`, as those of {source} do: {_meant(records[0], keys.names[0])}"


def _meant(record: Mapping[str, Any], key: str) -> str:
    if "Messages" in record or "Body" in record:
        return "this is how the SQS API has messages; a function gets {Records: [{body: …}]}"
    other = looks_like(record)
    return f'write {{"{key}": …}} around the data itself{f", or try --source {other}" if other else ""}'


def _say_why(reasons: Sequence[str]) -> None:
    for reason in reasons:
        typer.echo(f"  {reason.encode(errors='backslashreplace').decode()}")  # half a surrogate pair, perhaps


def _view(record: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(record, dict):
        raise _Unusable("a record has to be a JSON object")
    return view_of(record, source)


def _pattern(text: str) -> str:
    """As JSON, also out of a YAML file, which may hold a pattern as a configuration has it."""
    given = _given(text)
    if given is text or Path(text).suffix not in {".yaml", ".yml"}:
        return given
    try:
        return json_text(given, text)
    except ConfigError as error:
        raise _Unusable("\n".join(error.problems)) from None


def _given(text: str) -> str:
    """JSON itself, or the content of a file."""
    if text.lstrip()[:1] in {"{", "["}:
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Unusable(f"{text!r} is neither JSON nor a file that can be read: {error}") from None
