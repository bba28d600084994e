"""Records of a log, whose numbers and positions differ, for tests of the core."""

from collections.abc import Iterable, Sequence

from core_records import record
from msgspec import structs

from esm.checkpoint import Position
from esm.core.batching import BatchRule
from esm.core.log.judging import RetryRule
from esm.core.log.ledger import LaneRule
from esm.core.log.parts import Part
from esm.model import LogPage, Record

PLENTY = 10**9


def at(seq: int, position: Position, key: str = "a", *, arrived: float = 0.0) -> Record:
    return structs.replace(record(seq, key, arrived=arrived, id_=str(position)), position=position)


def line(*places: str, first: int = 1) -> list[Record]:
    """Records like "10a 20b": a position and a key each, numbered from `first`."""
    return [at(seq, int(place[:-1]), place[-1]) for seq, place in enumerate(places, first)]


def page(*places: str, first: int = 1, upto: Position | None = None, ended: bool = False) -> LogPage:
    return LogPage(tuple(line(*places, first=first)), upto=upto, ended=ended)


def part(*places: str, first: int = 1) -> Part:
    return Part(tuple(line(*places, first=first)))


def places(records: Iterable[Record]) -> list[str]:
    return [f"{each.position}{each.key}" for each in records]


def positions(parts: Sequence[Part]) -> list[list[Position]]:
    return [[each.position for each in one.records] for one in parts]


def rule(size: int = 100, factor: int = 10, retry: RetryRule | None = None) -> LaneRule:
    return LaneRule(BatchRule(size, PLENTY, 0.0), factor, retry or RetryRule())
