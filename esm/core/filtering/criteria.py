"""The filters of one mapping: a record is kept if any of their patterns matches it.

What a pattern says about the record's data is only asked if the data has the format that the pattern expects, an
object or a plain string. Otherwise SQS, Kinesis and DynamoDB drop the record, while Kafka and MQ go by the rest of
the pattern alone. The tables are in "Using filters with different AWS services" of
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.core.filtering.data import Data, Format, Unreadable, parsed
from esm.core.filtering.grammar import branches
from esm.core.filtering.invalid import InvalidPattern
from esm.core.filtering.json_text import read, written
from esm.core.filtering.matching import MISSING, Field, by_first_step
from esm.model import DataKeys


class Alternative:
    """One branch of one pattern. `wants` says in which format it expects what stands under a data key."""

    def __init__(self, fields: Sequence[Field], keys: DataKeys) -> None:
        self.fields = fields
        self.wants = _wanted(fields, keys)
        self.lenient = keys.lenient
        parts = by_first_step(fields)
        self._data = [(key, self.wants[key], matches) for key, matches in parts if key in self.wants]
        self._rest = [(name, matches) for name, matches in parts if name not in self.wants]

    def matches(self, view: Mapping[str, Any], data: Mapping[str, Data]) -> bool:
        """`data` has an entry for each data key that any branch asks for."""
        for key, wanted, matches in self._data:
            form, value = data[key]
            if form is not wanted:
                if not self.lenient:
                    return False
            elif not matches(value):
                return False
        return not self._rest or all(matches(view.get(name, MISSING)) for name, matches in self._rest)


class FilterSet:
    """Compiled once; `keeps` is called for every record and never raises."""

    def __init__(self, patterns: Sequence[str], keys: DataKeys, *, strict: bool = False) -> None:
        """Patterns in JSON text. Raises InvalidPattern for the first that is none."""
        self.patterns = tuple(patterns)
        self.alternatives = [_compiled(pattern, keys, strict=strict) for pattern in patterns]
        self._flat = [one for pattern in self.alternatives for one in pattern]
        self._fields = keys.fields
        self._keys = sorted({key for one in self._flat for key in one.wants})

    def keeps(self, view: Mapping[str, Any]) -> bool:
        """Whether a record is to be delivered: without any pattern each is; `view` as `Codec.view` gives it.

        A record that is nested too deep to be looked at is kept: what nobody can judge must not be deleted.
        """
        try:
            data = self.data_of(view)
            for one in self._flat:
                if one.matches(view, data):
                    return True
        except (Unreadable, RecursionError):
            return True
        return not self._flat

    def strange(self) -> list[str]:
        """What the patterns want at the top of a record where no record of this source has it, in their order."""
        wanted = [field.path[0] for one in self._flat for field in one.fields if not field.leaf.absent]
        return [name for name in dict.fromkeys(wanted) if self._fields and name not in self._fields]

    def data_of(self, view: Mapping[str, Any]) -> dict[str, Data]:
        """What the record has under the data keys that a pattern asks for. Raises Unreadable."""
        return {key: parsed(view.get(key, MISSING)) for key in self._keys}


def _compiled(pattern: str, keys: DataKeys, *, strict: bool) -> list[Alternative]:
    found = [Alternative(fields, keys) for fields in branches(pattern, strict=strict)]
    if keys.only_json:
        for key in {key for one in found for key, wanted in one.wants.items() if wanted is Format.TEXT}:
            raise InvalidPattern((key,), "has to be an object: the data of this source is JSON")
    return found


def _wanted(fields: Sequence[Field], keys: DataKeys) -> dict[str, Format]:
    wanted: dict[str, Format] = {}
    for field in fields:
        key = field.path[0]
        if key not in keys.names:
            continue
        form = Format.TEXT if len(field.path) == 1 else Format.OBJECT
        if wanted.setdefault(key, form) is not form:
            raise InvalidPattern((key,), "is asked to be text and an object at once")
    return wanted


def patterns_in(text: str) -> list[str]:
    """The patterns of a whole `FilterCriteria` in JSON, or one pattern by itself. Raises InvalidPattern."""
    root = read(text)
    if isinstance(root, dict) and len(root) == 1:
        ((name, inner),) = root.items()
        if name in {"FilterCriteria", "filter_criteria"} and isinstance(inner, dict):
            return patterns_in(written(inner))
        if name in {"Filters", "filters"} and isinstance(inner, list) and all(map(_is_filter, inner)):
            return [_pattern(one) for one in inner]
    return [text]


def _is_filter(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and value.keys() <= {"Pattern", "pattern"}


def _pattern(given: Mapping[str, Any]) -> str:
    (value,) = given.values()
    return value if isinstance(value, str) else written(value)
