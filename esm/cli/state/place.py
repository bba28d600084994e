"""The store of a configuration, with the names that its rows have there."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from esm.checkpoint import LaneRow
from esm.cli.complain import NOT_STARTED, lines
from esm.config import load
from esm.config.assemble import has_positions
from esm.config.aws_options import KAFKAS
from esm.config.models import Config, MappingConfig
from esm.config.report import suggestion
from esm.config.stream_options import StreamOptions
from esm.core.log.lineage import EVERY_LANE
from esm.errors import ConfigError, StoreFailed
from esm.stores import SqliteStore, file_of, user_of, visit_sqlite

NOT_ALL = 1
"""The exit code when some of it was not done."""


class Refused(Exception):
    """Nothing was changed, for reasons that people are told, a line each."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Place:
    """`user` is who has the store, as `pid 42`: an engine; empty if nobody does."""

    config: Config
    store: SqliteStore
    user: str

    def name_of(self, scope: str) -> str | None:
        """What the configuration calls a mapping; None if it has none of that id."""
        return next((each.name for each in self.config.mappings.values() if each.id == scope), None)

    def called(self, scope: str) -> str:
        """For people: by name, or by the id that nothing in the configuration has."""
        return self.name_of(scope) or scope

    def mapping(self, scope: str) -> MappingConfig | None:
        """What is configured for an id."""
        return self.config.mappings.get(self.name_of(scope) or "")

    async def scope(self, given: str) -> str:
        """The id of a mapping by its name, or by the id itself. Raises `Refused` if it has no positions."""
        mapping = self.config.mappings.get(given)
        if mapping is None:
            if given in await self.store.scopes():
                return given
            known = ", ".join(sorted(self.config.mappings)) or "none"
            raise Refused(
                f"there is no mapping {given}: there are {known}{suggestion(given, self.config.mappings)}"
            )
        if mapping.source.kind in KAFKAS:
            raise Refused(_of_a_group(mapping))
        if not isinstance(mapping.options, StreamOptions):
            raise Refused(f"{given} reads a queue, which has no positions: it remembers by itself what is done")
        return mapping.id

    async def scopes(self) -> Collection[str]:
        """Every id with rows: those of the configuration first, in its order."""
        found = await self.store.scopes()
        named = [each.id for each in self.config.mappings.values() if each.id in found]
        return [*named, *(scope for scope in found if scope not in named)]

    async def rows(self, scope: str) -> dict[str, LaneRow]:
        """By lane; the row of all lanes comes first."""
        return {row.lane: row for row in sorted(await self.store.view(scope), key=lambda row: row.lane)}

    async def row(self, scope: str, lane: str) -> LaneRow:
        """Raises `Refused`, naming those that there are."""
        rows = await self.rows(scope)
        if lane not in rows:
            known = [name for name in rows if name != EVERY_LANE]
            has = f"it has {_few(known)}{suggestion(lane, known)}" if known else "nothing of it was read yet"
            raise Refused(f"{self.called(scope)} has no position of a lane {lane}: {has}")
        return rows[lane]

    def lane(self, row: LaneRow) -> str:
        """What a row is about, for people."""
        return f"{self.called(row.scope)}, lane {row.lane}"

    def in_use(self, row: LaneRow) -> str:
        """Why a lane is not to be moved now, empty if it may be."""
        if not self.works_on(row):
            return ""
        return (
            f"{self.lane(row)} is in use by an engine ({self.user}), which would lose what is pending: stop it, or"
            " restart it with `enabled: false` for the mapping"
        )

    def works_on(self, row: LaneRow) -> bool:
        """Whether an engine seems to: one has the store, and the lane was not closed."""
        return bool(self.user) and not row.known.clean


def at(path: Path, act: Callable[[Place], Awaitable[int]]) -> int:
    """The exit code of `act`, done at the store of the configuration at `path`, or that nothing could be done."""
    try:
        return asyncio.run(_visit(load(path).config, act))
    except ConfigError as error:
        lines(error.problems)
    except StoreFailed as error:
        lines([f"state.url: {error}"])
    except Refused as error:
        lines(error.reasons)
    return NOT_STARTED


def operator(command: str) -> str:
    """The owner of a row that a command writes; no two are the same."""
    return f"esm state {command} {secrets.token_hex(4)}"


async def _visit(config: Config, act: Callable[[Place], Awaitable[int]]) -> int:
    url = config.settings.state.url
    path = file_of(url)
    topics = [each for each in config.mappings.values() if each.source.kind in KAFKAS]
    if topics and not has_positions(config) and (path is None or not path.exists()):
        raise Refused(*map(_of_a_group, topics))
    if path is None:
        raise Refused(
            f"state.url is {url}: positions end with the engine, so there are none to look at or to move"
        )
    if not path.exists():
        raise Refused(f"state.url: {path} is not there: no engine with this configuration has run here yet")
    async with visit_sqlite(path) as store:
        return await act(Place(config, store, user_of(path)))


def _of_a_group(mapping: MappingConfig) -> str:
    """Where the positions of a topic are, and how they are moved: by Kafka's own means, as those of any group."""
    options = mapping.source.options
    group = getattr(options, "consumer_group_id", None) or mapping.id
    topic = getattr(options, "topic", "TOPIC")
    return (
        f"{mapping.name} reads a topic, whose positions are with the brokers, in the consumer group {group}: stop"
        f" the engine and move them with `kafka-consumer-groups --group {group} --topic {topic} --reset-offsets`,"
        " or give the source a new consumer_group_id, which begins at starting_position"
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
