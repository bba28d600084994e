"""The SQLite store's own concerns: one user, other people's files, newer rows, faults of the disk, the thread."""

import asyncio
import fcntl
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from esm.checkpoint import Budget, Checkpoint, LaneRow
from esm.errors import StoreFailed
from esm.stores import open_sqlite, open_store, sqlite, user_of, visit_sqlite
from esm.stores.rows import FORMAT
from esm.testing.store_suite import after, row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def filled(path: Path, *rows: LaneRow) -> None:
    async with open_sqlite(path) as store:
        for one in rows:
            assert await store.swap(None, one)


async def rows_in(path: Path) -> list[LaneRow]:
    async with open_sqlite(path) as store:
        return list(await store.view(row().scope))


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


async def refusal(path: Path) -> str:
    with pytest.raises(StoreFailed) as caught:
        await rows_in(path)
    return str(caught.value)


async def test_rows_outlive_the_store(path: Path) -> None:
    await filled(path, row(at=7))
    assert await rows_in(path) == [row(at=7)]


async def test_a_commit_is_flushed_to_the_disk(path: Path) -> None:
    async with open_sqlite(path) as store:
        asked = store._file.connection.execute
        modes = await asyncio.get_running_loop().run_in_executor(
            store._pool,
            lambda: [asked(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")],
        )
    assert modes == ["wal", 2]


async def test_a_second_user_is_refused_and_told_by_whom(path: Path) -> None:
    async with open_sqlite(path):
        said = await refusal(path)
    assert f"is in use by another process (pid {os.getpid()})" in said
    assert await rows_in(path) == []


async def test_another_name_of_the_file_is_the_same_file(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with open_sqlite(path):
        assert "in use" in await refusal(link)


async def test_a_row_has_the_lowest_format_that_says_it_all(path: Path) -> None:
    given_up = replace(row("given up"), checkpoint=Checkpoint(7, parts=(Budget(3, given_up=True),)))
    await filled(path, row(at=7), given_up)
    with closing(sqlite3.connect(path)) as connection:
        formats = dict(connection.execute("SELECT lane, format FROM lanes"))
    assert formats == {row().lane: 1, "given up": 2}


async def test_tools_find_every_scope(path: Path) -> None:
    await filled(path, row("b"), row("a"), row(scope="another"))
    async with visit_sqlite(path) as tool:
        assert list(await tool.scopes()) == sorted({row().scope, "another"})


async def test_tools_see_who_has_the_file(path: Path, tmp_path: Path) -> None:
    assert user_of(path) == ""
    async with open_sqlite(path):
        assert user_of(path) == f"pid {os.getpid()}"
        (tmp_path / "link.db").symlink_to(path)
        assert user_of(tmp_path / "link.db") == f"pid {os.getpid()}"
    assert user_of(path) == ""


async def test_a_tool_that_asks_who_has_the_file_keeps_no_engine_from_starting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr("esm.stores.lock.time.sleep", lambda _: os.close(asking))
    assert await rows_in(path) == []


async def test_tools_work_beside_the_engine(path: Path) -> None:
    async with open_sqlite(path) as engine, visit_sqlite(path) as tool:
        await engine.swap(None, row(at=1))
        assert list(await tool.view(row().scope)) == [row(at=1)]
        assert await tool.swap(row(at=1), after(row(at=1), 5, owner="tool"))
        assert not await engine.swap(row(at=1), after(row(at=1), 2))


def test_tools_make_no_file(path: Path, tmp_path: Path) -> None:
    async def visit() -> None:
        async with visit_sqlite(path):
            pass

    with pytest.raises(StoreFailed, match="cannot be opened"):
        asyncio.run(visit())
    assert not any(tmp_path.iterdir())


async def test_no_directory_is_made(tmp_path: Path) -> None:
    said = await refusal(tmp_path / "not-mounted" / "state.db")
    assert "No such file or directory" in said
    assert "make the directory, or mount what belongs there" in said


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    assert "cannot be opened" in await refusal(tmp_path / "state.db")


def test_what_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("dear diary, " * 100)
    assert "is no state file" in asyncio.run(refusal(path))
    assert path.read_text() == "dear diary, " * 100


def test_another_programs_database_is_left_alone(path: Path) -> None:
    alter(path, "CREATE TABLE lanes (swimmer TEXT)")
    before = path.read_bytes()
    assert "the database of another program" in asyncio.run(refusal(path))
    assert path.read_bytes() == before


async def test_a_newer_layout_is_left_alone(path: Path) -> None:
    await filled(path, row())
    alter(path, "PRAGMA user_version = 2")
    assert "a newer version of esm made it (layout 2, this one knows up to 1)" in await refusal(path)


def test_a_damaged_file_is_told(path: Path) -> None:
    asyncio.run(filled(path, *(row(f"lane-{n}" * 50, at=n) for n in range(200))))
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 6] = os.urandom(4096 * 4)
    path.write_bytes(content)

    async def only_open() -> None:
        async with open_sqlite(path):
            pass

    with pytest.raises(StoreFailed, match="it is damaged: restore a copy"):
        asyncio.run(only_open())


async def test_a_newer_row_is_never_overwritten(path: Path) -> None:
    mine, other = row("newer", at=1), row("other", at=1)
    await filled(path, mine, other)
    alter(path, f"UPDATE lanes SET format = {FORMAT + 1} WHERE lane = 'newer'")
    async with open_sqlite(path) as store:
        writes = [
            store.swap(mine, after(mine, 2)),
            store.forget(mine),
            store.swap(None, mine),
            store.view(mine.scope),
        ]
        for write in writes:
            with pytest.raises(StoreFailed, match=f"lane 'newer' of .* newer version of esm .format {FORMAT + 1}"):
                await write
        assert await store.swap(other, after(other, 2))


async def test_a_newer_row_fails_only_those_who_write_it(path: Path) -> None:
    mine, others = row("newer", at=1), [row(f"other-{n}", at=1) for n in range(10)]
    await filled(path, mine, *others)
    alter(path, f"UPDATE lanes SET format = {FORMAT + 1} WHERE lane = 'newer'")
    async with open_sqlite(path) as store:
        ends = await asyncio.gather(
            *(store.swap(one, after(one, 2)) for one in (mine, *others)), return_exceptions=True
        )
    assert [isinstance(end, StoreFailed) for end in ends] == [True] + [False] * 10
    assert ends[1:] == [True] * 10


async def test_a_locked_file_is_told_and_found_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.stores.sqlite_file._BUSY_SECONDS", 0.05)
    async with open_sqlite(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailed, match="another process keeps it locked"):
                await store.swap(None, row())
        assert await store.swap(None, row())


async def test_a_full_disk_is_told_and_found_back(path: Path) -> None:
    first = row(at=1)
    async with open_sqlite(path) as store:
        await store.swap(None, first)
        pages = "PRAGMA max_page_count = {}"
        await on_thread(store, pages.format(1))
        for _ in range(2):
            with pytest.raises(StoreFailed, match="the disk is full: free some space; lanes wait"):
                await store.swap(None, row("x" * 10_000))
        assert list(await store.view(first.scope)) == [first]
        await on_thread(store, pages.format(1000))
        assert await store.swap(None, row("x" * 10_000))


async def test_a_file_that_was_removed_takes_no_more(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.swap(None, row())
        moved = await asyncio.to_thread(path.rename, f"{path}.old")
        with pytest.raises(StoreFailed, match="removed or replaced while in use"):
            await store.swap(row(), after(row(), 1))
        await asyncio.to_thread(moved.rename, path)
        assert await store.swap(row(), after(row(), 1))


async def test_what_waits_is_written_in_one_transaction(path: Path) -> None:
    async with open_sqlite(path) as store:
        statements: list[str] = []
        await asyncio.get_running_loop().run_in_executor(
            store._pool, store._file.connection.set_trace_callback, statements.append
        )
        gate = threading.Event()
        held = asyncio.get_running_loop().run_in_executor(store._pool, gate.wait)
        writes = asyncio.gather(*(store.swap(None, row(f"lane-{n}")) for n in range(100)))
        await asyncio.sleep(0)
        gate.set()
        await held
        assert all(await writes)
    assert statements.count("COMMIT") == 1


async def test_a_write_whose_caller_left_is_written_before_the_store_closes(path: Path) -> None:
    async with open_sqlite(path) as store:
        gate = threading.Event()
        held = asyncio.get_running_loop().run_in_executor(store._pool, gate.wait)
        async with asyncio.TaskGroup() as group:
            left = group.create_task(store.swap(None, row(at=3)))
            await asyncio.sleep(0)
            left.cancel()
        gate.set()
        await held
    assert await rows_in(path) == [row(at=3)]


async def test_the_loop_goes_on_while_the_disk_is_slow(path: Path) -> None:
    async with open_sqlite(path) as store:
        gate = threading.Event()
        held = asyncio.get_running_loop().run_in_executor(store._pool, gate.wait)
        async with asyncio.TaskGroup() as group:
            write = group.create_task(store.swap(None, row()))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not write.done()
            gate.set()
            await held
        assert write.result()


async def test_a_store_is_named_by_its_url(path: Path) -> None:
    async with open_store(f"sqlite://{path}") as store:
        assert isinstance(store, sqlite.SqliteStore)
        await store.swap(None, row(at=9))
    assert await rows_in(path) == [row(at=9)]


async def on_thread(store: sqlite.SqliteStore, statement: str) -> None:
    connection = store._file.connection
    await asyncio.get_running_loop().run_in_executor(store._pool, lambda: connection.execute(statement).fetchall())
