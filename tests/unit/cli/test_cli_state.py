"""`esm state`: what it shows, what it changes, and what it refuses, saying what to do."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from typer.testing import CliRunner, Result

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span, Start
from esm.cli.app import app
from esm.config import load
from esm.errors import Disconnected, StoreFailed
from esm.sources.kinesis.source import KinesisSource
from esm.sources.kinesis.start import start_of
from esm.stores import open_sqlite, visit_sqlite
from esm.stores.lock import sole_user
from esm.stores.sqlite import SqliteStore

RUNNER = CliRunner()
PARTS = (Budget(3, 1573691886.0, in_flight=True), Budget(0, None))
FAILING = Checkpoint(100, clean=False, spans=(Span(110, 120, 0), Span(130, 130, 1), Span(140, 150)), parts=PARTS)
BODY = """
mappings:
  orders:
    source: arn:aws:kinesis:eu-west-1:123456789012:stream/orders
    target: http://127.0.0.1:1/
    starting_position: TRIM_HORIZON
    destination_config: {on_failure: {destination: "file:///tmp/failed.jsonl"}}
  silent:
    source: arn:aws:kinesis:eu-west-1:123456789012:stream/orders
    target: http://127.0.0.1:2/
    starting_position: TRIM_HORIZON
  queue:
    source: arn:aws:sqs:eu-west-1:123456789012:orders
    target: http://127.0.0.1:1/
"""


class Desk:
    """A configuration with its state file, and the commands run on it."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "esm.yaml"
        self.file = folder / "state.db"
        self.config.write_text(f"state: {{url: 'sqlite://{self.file}'}}\n{BODY}")
        self.ids = {name: each.id for name, each in load(self.config).config.mappings.items()}

    def esm(self, command: str, *arguments: str | Path) -> Result:
        return RUNNER.invoke(app, ["state", command, "-c", str(self.config), *map(str, arguments)])

    def refused(self, command: str, *arguments: str | Path) -> str:
        """What is said when nothing was done, in lines."""
        before = self.rows()
        ended = self.esm(command, *arguments)
        assert (ended.exit_code, ended.stdout) == (2, ""), ended.output
        assert self.rows() == before
        return ended.stderr

    def put(self, lane: str, checkpoint: Checkpoint | None, *, mapping: str = "orders", **more: Any) -> LaneRow:
        row = LaneRow(self.ids.get(mapping, mapping), lane, "engine", 4, 9, checkpoint=checkpoint, **more)
        asyncio.run(self._put(row))
        return row

    def rows(self, mapping: str = "orders") -> dict[str, LaneRow]:
        return asyncio.run(self._rows(self.ids.get(mapping, mapping))) if self.file.exists() else {}

    def row(self, lane: str, mapping: str = "orders") -> LaneRow:
        return self.rows(mapping)[lane]

    async def _put(self, row: LaneRow) -> None:
        async with open_sqlite(self.file) as store:
            assert await store.swap(None, row)

    async def _rows(self, scope: str) -> dict[str, LaneRow]:
        async with visit_sqlite(self.file) as store:
            return {row.lane: row for row in await store.view(scope)}

    @contextmanager
    def engine(self) -> Iterator[None]:
        """One has the file."""
        with sole_user(self.file):
            yield


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# Looking


def test_rows_are_shown_in_words(desk: Desk) -> None:
    desk.put("*", None, start=Start())
    desk.put("s-1", Checkpoint(7))
    desk.put("s-2", FAILING)
    desk.put("s-3", Checkpoint(9, ended=True))
    desk.put("s-4", None, start=Start(1573691886.0))
    desk.put("s-1", Checkpoint(8), mapping="renamed-long-ago")
    ended = desk.esm("list")
    assert ended.exit_code == 0
    lines = {line.split("│")[2].strip(): line for line in ended.stdout.splitlines() if "orders" in line}
    words = {
        "*": ("where lanes begin", "the oldest record"),
        "s-1": ("stopped", " 7 "),
        "s-2": ("not closed", " 100 ", " 2 ", " 3 ", " 1 ", "2019-11-14T00:38:06Z"),
        "s-3": ("finished", " 9 "),
        "s-4": ("not begun", "what came since 2019-11-14T00:38:06Z"),
    }
    assert list(lines) == list(words)
    assert not [(lane, word) for lane, expected in words.items() for word in expected if word not in lines[lane]]
    assert "renamed-long-ago" in ended.stdout
    assert "renamed-long-ago" not in desk.esm("list", "orders").stdout
    assert "orders" not in desk.esm("list", "renamed-long-ago").stdout
    with desk.engine():
        assert "running" in desk.esm("list").stdout


def test_a_lane_is_shown_with_all_that_is_remembered(desk: Desk) -> None:
    desk.put("s-2", FAILING)
    said = desk.esm("show", "orders", "s-2").stdout
    for words in (
        f"orders ({desk.ids['orders']})",
        "110 to 120: 3 attempts, first failed 2019-11-14T00:38:06Z, being sent when this was written",
        "130: 0 attempts",
        "done above  140 to 150",
        "engine, number 4, 9 writes since",
    ):
        assert words in said


def test_json_is_what_export_writes(desk: Desk) -> None:
    desk.put("s-2", FAILING)
    exported = json.loads(desk.esm("export").stdout)
    assert json.loads(desk.esm("list", "--json").stdout) == exported
    (row,) = exported["rows"]
    assert json.loads(desk.esm("show", "orders", "s-2", "--json").stdout) == row
    assert (row["mapping"], row["checkpoint"]["at"], exported["version"]) == ("orders", "100", 1)
    assert row["checkpoint"]["spans"][0] == {"first": "110", "last": "120", "part": 0}
    assert row["checkpoint"]["parts"][0]["attempts"] == 3


def test_who_is_meant_is_said_if_there_is_nobody(desk: Desk) -> None:
    assert "is not there: no engine with this configuration has run here" in desk.refused("list")
    desk.put("shard-1", Checkpoint(7))
    assert "there is no mapping order: there are orders, queue, silent; did you mean `orders`?" in desk.refused(
        "show", "order", "shard-1"
    )
    assert "it has shard-1; did you mean `shard-1`?" in desk.refused("show", "orders", "shard1")
    assert "queue reads a queue, which has no positions" in desk.refused("list", "queue")
    assert "silent has no position of a lane s: nothing of it was read yet" in desk.refused("show", "silent", "s")


TOPIC = """
mappings:
  orders:
    source: {type: kafka, bootstrap_servers: b1:9092, topic: placed, consumer_group_id: readers}
    target: http://127.0.0.1:1/
    starting_position: TRIM_HORIZON
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "orders"),
        ("show", "orders", "placed-0"),
        ("seek", "orders", "--all", "--to", "horizon"),
        ("skip", "orders", "placed-0"),
    ],
)
@pytest.mark.parametrize("url", ["memory://", "sqlite://{}"])
def test_positions_of_a_topic_are_with_the_brokers(desk: Desk, arguments: Sequence[str], url: str) -> None:
    desk.config.write_text(f"state: {{url: '{url.format(desk.file)}'}}\n{TOPIC}")
    said = desk.refused(*arguments)
    assert "orders reads a topic, whose positions are with the brokers, in the consumer group readers" in said
    assert "`kafka-consumer-groups --group readers --topic placed --reset-offsets`" in said
    assert "a new consumer_group_id" in said


def test_a_topic_beside_a_stream_is_refused_by_name(desk: Desk) -> None:
    topic = TOPIC.replace("mappings:\n  orders:", "  placed:").replace(", consumer_group_id: readers", "")
    desk.config.write_text(desk.config.read_text() + topic)
    desk.put("shard-1", Checkpoint(7))
    group = load(desk.config).config.mappings["placed"].id
    assert f"in the consumer group {group}" in desk.refused("seek", "placed", "--all", "--to", "latest")
    assert desk.esm("list").exit_code == 0


def test_positions_that_end_with_the_engine_cannot_be_looked_at(desk: Desk) -> None:
    desk.config.write_text(BODY)
    assert "state.url is memory://: positions end with the engine" in desk.refused("list")


def test_a_file_that_is_no_state_is_named(desk: Desk) -> None:
    desk.file.write_text("not a database, but long enough to be taken for one: " * 20)
    ended = desk.esm("list")
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"state.url: {desk.file}: ")
    assert "Traceback" not in ended.output


# Seeking


@pytest.mark.parametrize(
    ("to", "start", "checkpoint", "said"),
    [
        ("horizon", Start(), None, "goes on with the oldest record, was 7"),
        (
            "2019-11-14T00:38:06Z",
            Start(1573691886.0),
            None,
            "goes on with what came since 2019-11-14T00:38:06Z, was",
        ),
        ("2019-11-14T01:38:06.500+01:00", Start(1573691886.5), None, "goes on with"),
        ("5", None, Checkpoint(5), "goes on with what is behind 5, was 7"),
    ],
)
def test_a_lane_is_moved(
    desk: Desk, to: str, start: Start | None, checkpoint: Checkpoint | None, said: str
) -> None:
    desk.put("s-1", Checkpoint(7))
    desk.put("s-2", Checkpoint(8))
    ended = desk.esm("seek", "orders", "s-1", "--to", to)
    assert (ended.exit_code, ended.stderr) == (0, ""), ended.output
    assert f"orders, lane s-1: {said}" in ended.stdout
    row = desk.row("s-1")
    assert (row.start, row.checkpoint, row.epoch, row.counter) == (start, checkpoint, 5, 0)
    assert row.owner.startswith("esm state seek ")
    assert desk.row("s-2").checkpoint == Checkpoint(8)


def test_latest_is_the_sources_own_present(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(source: KinesisSource) -> Start:
        return start_of(source._begin, 1573691886.0)

    monkeypatch.setattr(KinesisSource, "begin", begin)
    desk.put("s-1", Checkpoint(7))
    assert desk.esm("seek", "orders", "s-1", "--to", "latest").exit_code == 0
    assert desk.row("s-1").start == Start(1573691886.0)


def test_a_source_that_cannot_say_what_is_the_latest_moves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin(_: KinesisSource) -> Start:
        raise Disconnected("unreachable", "cannot connect")

    monkeypatch.setattr(KinesisSource, "begin", begin)
    desk.put("s-1", Checkpoint(7))
    assert "cannot be asked what is the latest: cannot connect; a time needs no answer" in desk.refused(
        "seek", "orders", "s-1", "--to", "latest"
    )
    desk.put("s-1", Checkpoint(7), mapping="gone")
    assert "not configured" in desk.refused("seek", "gone", "s-1", "--to", "latest")


def test_all_lanes_are_those_to_come_too(desk: Desk) -> None:
    desk.put("s-1", Checkpoint(7))
    desk.put("s-2", Checkpoint(8, ended=True))
    ended = desk.esm("seek", "orders", "--all", "--to", "2019-11-14T00:38:06Z")
    assert ended.exit_code == 0
    assert {row.start for row in desk.rows().values()} == {Start(1573691886.0)}
    assert set(desk.rows()) == {"*", "s-1", "s-2"}
    assert desk.esm("seek", "orders", "--all", "--to", "TRIM_HORIZON").exit_code == 0
    assert (desk.row("*").start, desk.row("*").epoch) == (Start(), 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s-1", "--to", "yesterday"], "yesterday is no place: write horizon, latest, a time with its zone"),
        (["s-1", "--to", "2019-11-14T00:38:06"], "is no place"),
        (["s-1", "--to", "2999-11-14T00:38:06Z"], "is still to come: latest means"),
        (["--all", "--to", "5"], "5 is a position, which is one lane's"),
        (["*", "--to", "5"], "5 is a position, which is one lane's"),
        (["--to", "horizon"], "name the lanes, or say --all"),
        (["s-1", "--all", "--to", "horizon"], "--all means all lanes"),
        (["s-9", "--to", "horizon"], "orders has no position of a lane s-9: it has s-1"),
    ],
)
def test_what_cannot_be_meant_is_refused(desk: Desk, arguments: Sequence[str], said: str) -> None:
    desk.put("s-1", Checkpoint(7))
    desk.put("*", None, start=Start())
    assert said in desk.refused("seek", "orders", *arguments)


def test_what_would_be_forgotten_is_said_and_asks_for_yes(desk: Desk) -> None:
    desk.put("s-1", FAILING)
    said = desk.refused("seek", "orders", "s-1", "--to", "horizon")
    assert "2 pending batches, 1 span done above it, which would be forgotten" in said
    assert "`esm state skip`" in said
    ended = desk.esm("seek", "orders", "s-1", "--to", "horizon", "--yes")
    assert ended.exit_code == 0
    assert "was 100; forgotten: 2 pending batches, 1 span done above it" in ended.stdout


def test_a_lane_that_an_engine_works_on_is_not_moved(desk: Desk) -> None:
    desk.put("s-1", Checkpoint(7, clean=False))
    desk.put("s-2", Checkpoint(7))
    with desk.engine():
        said = desk.refused("seek", "orders", "--all", "--to", "horizon", "--yes")
        assert "orders, lane s-1 is in use by an engine (pid " in said
        assert "stop it, or restart it with `enabled: false`" in said
        assert "s-2" not in said
        assert desk.esm("seek", "orders", "s-2", "--to", "horizon").exit_code == 0
    assert desk.esm("seek", "orders", "s-1", "--to", "horizon").exit_code == 0


def test_a_finished_lane_is_opened_again_at_the_next_start_only(desk: Desk) -> None:
    desk.put("s-1", Checkpoint(7, ended=True))
    with desk.engine():
        ended = desk.esm("seek", "orders", "s-1", "--to", "horizon")
    assert ended.exit_code == 0
    assert "it opens lanes that were finished when it is restarted" in ended.stderr


def test_whoever_was_faster_is_not_overwritten(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("s-1", Checkpoint(7))
    swap = SqliteStore.swap

    async def late(store: SqliteStore, old: LaneRow | None, new: LaneRow) -> bool:
        assert old is not None
        await swap(store, old, structs.replace(old, owner="an engine", epoch=8))
        return await swap(store, old, new)

    monkeypatch.setattr(SqliteStore, "swap", late)
    ended = desk.esm("seek", "orders", "s-1", "--to", "horizon")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "orders, lane s-1 was written by somebody else meanwhile, and is left as it is" in ended.stderr
    assert desk.row("s-1").owner == "an engine"


def test_a_disk_that_is_full_is_told_lane_by_lane(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> bool:
        raise StoreFailed("the disk is full")

    desk.put("s-1", Checkpoint(7))
    monkeypatch.setattr(SqliteStore, "swap", full)
    ended = desk.esm("seek", "orders", "s-1", "--to", "horizon")
    assert (ended.exit_code, ended.stderr) == (1, "orders, lane s-1 was not moved: the disk is full\n")


# Skipping


def test_the_oldest_batch_that_failed_is_given_up(desk: Desk) -> None:
    desk.put("s-2", FAILING)
    ended = desk.esm("skip", "orders", "s-2")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "part 0 (110 to 120; 3 attempts, first failed 2019-11-14T00:38:06Z" in ended.stdout
    assert "is given up, and goes to file:///tmp/failed.jsonl" in ended.stdout
    assert "no engine is running: it is done when one starts" in ended.stdout
    marked = (Budget(3, 1573691886.0, given_up=True), PARTS[1])
    row = desk.row("s-2")
    assert (row.checkpoint, row.epoch) == (structs.replace(FAILING, parts=marked), 5)
    assert "given up: it goes to the destination" in desk.esm("show", "orders", "s-2").stdout
    assert "no batch of it has failed: `esm state show` has what is being sent" in desk.refused(
        "skip", "orders", "s-2"
    )
    assert "part 0 is given up already" in desk.refused("skip", "orders", "s-2", "--part", "0")


def test_another_batch_is_given_up_by_its_number_and_beside_an_engine(desk: Desk) -> None:
    desk.put("s-2", FAILING)
    with desk.engine():
        ended = desk.esm("skip", "orders", "s-2", "--part", "1")
    assert "notices before it sends the batch again" in ended.stdout
    checkpoint = desk.row("s-2").checkpoint
    assert checkpoint is not None
    assert [part.given_up for part in checkpoint.parts] == [False, True]
    assert "has no part 2" in desk.refused("skip", "orders", "s-2", "--part", "2")


def test_nothing_is_dropped_silently(desk: Desk) -> None:
    desk.put("s-2", FAILING, mapping="silent")
    assert "silent has no destination_config, so nobody would be told" in desk.refused("skip", "silent", "s-2")
    ended = desk.esm("skip", "silent", "s-2", "--yes")
    assert ended.exit_code == 0
    assert "is given up and dropped" in ended.stdout


def test_a_mapping_that_nobody_runs_is_warned_of(desk: Desk) -> None:
    desk.put("s-2", FAILING, mapping="gone")
    ended = desk.esm("skip", "gone", "s-2", "--yes")
    assert "gone is not configured or not enabled: nobody does it until it is" in ended.stderr


@pytest.mark.parametrize("checkpoint", [None, Checkpoint(7), Checkpoint(7, spans=(Span(9, 9),))])
def test_a_lane_that_is_not_stuck_has_nothing_to_skip(desk: Desk, checkpoint: Checkpoint | None) -> None:
    desk.put("s-1", checkpoint)
    assert "orders, lane s-1: no batch of it has failed\n" in desk.refused("skip", "orders", "s-1")


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_batch_is_followed_while_an_engine_writes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, goes_on: bool
) -> None:
    desk.put("s-2", FAILING)
    swap = SqliteStore.swap
    writes: list[LaneRow] = []
    spans = (Span(130, 130, 0), Span(140, 140, 1)) if goes_on else (Span(105, 105, 0), Span(110, 120, 1))
    now = structs.replace(FAILING, spans=spans)

    async def late(store: SqliteStore, old: LaneRow | None, new: LaneRow) -> bool:
        assert old is not None
        if not writes:
            writes.append(structs.replace(old, counter=old.counter + 1, checkpoint=now))
            await swap(store, old, writes[0])
        return await swap(store, old, new)

    monkeypatch.setattr(SqliteStore, "swap", late)
    ended = desk.esm("skip", "orders", "s-2")
    checkpoint = desk.row("s-2").checkpoint
    assert checkpoint is not None
    if goes_on:
        assert (ended.exit_code, checkpoint) == (2, now)
        assert "the batch went on meanwhile, nothing was given up" in ended.stderr
    else:
        assert [part.given_up for part in checkpoint.parts] == [False, True]


# Copies


def test_what_was_exported_can_be_imported_elsewhere(desk: Desk, tmp_path: Path) -> None:
    desk.put("*", None, start=Start(1573691886.25))
    desk.put("s-2", structs.replace(FAILING, at=10**55, spans=(Span(10**55 + 1, 10**55 + 9, 1),)))
    desk.put("s-3", Checkpoint(9, ended=True), mapping="silent")
    copy = tmp_path / "copy.json"
    assert desk.esm("export", copy).stdout == f"{copy}: 3 rows\n"
    (tmp_path / "other").mkdir()
    other = Desk(tmp_path / "other")
    other.config.write_text(f"namespace: other\n{other.config.read_text()}")
    other.ids = {name: each.id for name, each in load(other.config).config.mappings.items()}
    assert other.ids != desk.ids
    other.put("s-9", Checkpoint(1))
    ended = other.esm("import", copy)
    assert (ended.exit_code, ended.stdout) == (0, f"{copy}: 3 of 3 rows written\n"), ended.output
    for mapping in ("orders", "silent"):
        for lane, row in desk.rows(mapping).items():
            written = other.row(lane, mapping)
            assert (written.start, written.checkpoint) == (row.start, row.checkpoint)
            assert written.epoch == row.epoch + 1
    assert json.loads(desk.esm("export", "--mapping", "silent").stdout)["rows"][0]["lane"] == "s-3"


def test_what_is_there_is_replaced_only_if_asked_and_not_in_use(desk: Desk, tmp_path: Path) -> None:
    desk.put("s-1", Checkpoint(7, clean=False))
    desk.put("s-2", FAILING)
    copy = tmp_path / "copy.json"
    desk.esm("export", copy)
    assert desk.esm("seek", "orders", "s-1", "--to", "99").exit_code == 0
    said = desk.refused("import", copy).splitlines()
    assert said[0] == "orders, lane s-1 has a position already: --replace replaces it"
    assert "s-2 has a position already and 2 pending batches" in said[1]
    with desk.engine():
        assert "lane s-2 is in use by an engine" in desk.refused("import", copy, "--replace")
    assert desk.esm("import", copy, "--replace").exit_code == 0
    row = desk.row("s-1")
    assert (row.checkpoint, row.epoch) == (Checkpoint(7, clean=False), 6)


def checkpoint_of(document: dict[str, Any]) -> dict[str, Any]:
    checkpoint: dict[str, Any] = document["rows"][0]["checkpoint"]
    return checkpoint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.update(version=2), "was written by a newer version of esm (version 2, this one knows 1)"),
        (lambda it: it.pop("version"), "is no export of esm"),
        (
            lambda it: it["rows"][0].update(mapping="x"),
            "which is not configured: there are orders, queue, silent; write",
        ),
        (lambda it: it["rows"][0].update(mapping=None), "which is not configured"),
        (lambda it: it["rows"][0].pop("lane"), "is no export of esm: Object missing required field `lane`"),
        (lambda it: checkpoint_of(it).update(at="-1"), "lane s-2 of orders: '-1' is no position"),
        (lambda it: checkpoint_of(it).update(at="110"), "a span lies below the position"),
        (lambda it: checkpoint_of(it)["parts"].pop(), "a span is of a part that is not there"),
        (lambda it: checkpoint_of(it)["spans"].reverse(), "spans overlap, or are out of order"),
        (lambda it: checkpoint_of(it)["spans"][0].update(last="1"), "a span ends before it begins"),
        (lambda it: checkpoint_of(it)["parts"][0].pop("attempts"), "Object missing required field `attempts`"),
        (lambda it: it["rows"][0].update(start={}), "Object missing required field `time`"),
        (lambda it: checkpoint_of(it).update(typo=1), "is no export of esm: Object contains unknown field `typo`"),
    ],
)
def test_a_damaged_copy_is_not_imported(desk: Desk, tmp_path: Path, change: Any, said: str) -> None:
    desk.put("s-2", FAILING)
    document = json.loads(desk.esm("export").stdout)
    change(document)
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(document))
    assert said in desk.refused("import", copy, "--replace")


def test_files_that_cannot_be_used_are_named(desk: Desk, tmp_path: Path) -> None:
    desk.put("s-1", Checkpoint(7))
    assert "No such file" in desk.refused("import", tmp_path / "missing.json")
    assert "cannot be written: Is a directory" in desk.refused("export", tmp_path)
    (tmp_path / "text").write_bytes(b"\xff")
    assert "is no export of esm" in desk.refused("import", tmp_path / "text")


def test_a_copy_may_come_by_standard_input(desk: Desk) -> None:
    desk.put("s-1", Checkpoint(7))
    copy = desk.esm("export").stdout
    ended = RUNNER.invoke(app, ["state", "import", "-c", str(desk.config), "-", "--replace"], input=copy)
    assert ended.exit_code == 0, ended.output
