"""Event filters with the pattern language of AWS Lambda's event source mappings. Pure.

A pattern is read once (`grammar`, `operators`, `texts`, `numbers`), and compiled to predicates (`matching`); a
mapping's filters and the format of the record's data decide together (`criteria`, `data`); `explain` says why.
The language and its number rule are in docs/decisions/0019-filters-of-our-own.md.
"""

from esm.core.filtering.criteria import FilterSet, patterns_in
from esm.core.filtering.grammar import LONGEST
from esm.core.filtering.invalid import AWS_SAYS, InvalidPattern, named
from esm.core.filtering.sources import (
    DATA_KEYS,
    DYNAMODB,
    KAFKA,
    KINESIS,
    SQS,
    looks_like,
    read_event,
    records_of,
    view_of,
)

__all__ = [
    "AWS_SAYS",
    "DATA_KEYS",
    "DYNAMODB",
    "KAFKA",
    "KINESIS",
    "LONGEST",
    "SQS",
    "FilterSet",
    "InvalidPattern",
    "looks_like",
    "named",
    "patterns_in",
    "read_event",
    "records_of",
    "view_of",
]
