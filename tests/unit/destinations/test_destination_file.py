"""The file as destination: whole lines whatever happens, rotation without loss, and faults of the disk."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from esm.core.notice import text_of
from esm.destinations.file import PLUGIN, append
from esm.errors import Undeliverable
from esm.model import Finding
from esm.plugins import DestinationContext
from esm.ports import Checkable
from esm.testing.destination_suite import notice

LINE = text_of(notice().document) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "failed.jsonl"


def deliver(path: Path, *names: str, **options: Any) -> None:
    asyncio.run(delivered(path, *names, **options))


async def delivered(path: Path, *names: str, **options: Any) -> None:
    made = PLUGIN.options.model_validate({"path": str(path), **options})
    async with PLUGIN.open(made, DestinationContext({})) as destination:
        for name in names:
            await destination.deliver(notice(name))


def names_in(file: Path) -> list[str]:
    return [json.loads(line)["requestContext"]["requestId"] for line in file.read_text().splitlines()]


def test_a_notice_is_a_line_and_on_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(file: int) -> None:
        synced.append(os.fstat(file).st_mode)
        sync(file)

    monkeypatch.setattr(os, "fsync", noted)
    deliver(path, "1")
    assert names_in(path) == ["1"]
    assert [mode >> 12 for mode in synced] == [0o10, 0o4]  # the file, then the directory with its name


def test_a_file_that_has_grown_is_put_aside_and_none_is_lost(path: Path) -> None:
    names = [str(n) for n in range(10, 20)]
    deliver(path, *names, rotate_at=3 * len(LINE) + 3)
    assert sorted(one.name for one in path.parent.iterdir()) == [
        path.name,
        *(f"{path.name}.{n}" for n in (1, 2, 3)),
    ]
    assert names_in(path) == names[9:]
    assert [names_in(path.with_name(f"{path.name}.{n}")) for n in (1, 2, 3)] == [names[:3], names[3:6], names[6:9]]


def test_a_line_above_the_limit_has_a_file_of_its_own(path: Path) -> None:
    deliver(path, "1", "2", rotate_at=1024)
    assert names_in(path) == ["2"]
    assert names_in(path.with_name("failed.jsonl.1")) == ["1"]


def test_numbers_go_on_where_somebody_cleaned_up(path: Path) -> None:
    for name in ("failed.jsonl.7", "failed.jsonl.gz", "failed.jsonl.x9"):
        path.with_name(name).write_text("kept")
    deliver(path, "1", "2", rotate_at=1024)
    assert names_in(path.with_name("failed.jsonl.8")) == ["1"]


def test_half_a_line_of_a_crash_stays_alone(path: Path) -> None:
    path.write_text('{"half": ')
    deliver(path, "1")
    half, whole = path.read_text().splitlines()
    assert half == '{"half": '
    assert json.loads(whole)["requestContext"]["requestId"] == "1"


def test_whoever_moves_the_file_away_does_no_harm(path: Path) -> None:
    deliver(path, "1")
    path.rename(path.with_suffix(".moved"))
    deliver(path, "2")
    assert names_in(path) == ["2"]


def test_two_writers_do_not_mix_their_lines(path: Path) -> None:
    many = [str(n) for n in range(100, 140)]

    async def three() -> None:
        await asyncio.gather(*(delivered(path, *many, rotate_at=7 * len(LINE)) for _ in range(3)))

    asyncio.run(three())
    found = [name for file in path.parent.iterdir() for name in names_in(file)]
    assert sorted(found) == sorted(many * 3)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "No space left on device: free some space"),
        (errno.EROFS, "Read-only file system: let the user that esm runs as write there"),
        (errno.EIO, "Input/output error: look at the file and its disk"),
    ],
)
def test_half_a_line_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    deliver(path, "1")
    write = os.write
    parts = iter([100])

    def half(file: int, data: bytes) -> int:
        for length in parts:
            return write(file, data[:length])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(Undeliverable, match=f"^{path}: {said}$"):
            deliver(path, "2")
    assert path.read_text() == text_of(notice("1").document) + "\n"
    deliver(path, "2")
    assert names_in(path) == ["1", "2"]


def test_no_directory_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        Undeliverable, match="No such file or directory: make the directory, or mount what belongs"
    ):
        deliver(tmp_path / "not-mounted" / "failed.jsonl", "1")
    assert not any(tmp_path.iterdir())


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Undeliverable, match="Is a directory: name a file"):
        deliver(tmp_path, "1")


def test_one_writer_waits_for_the_other_even_while_it_rotates(path: Path) -> None:
    begin = threading.Barrier(4)

    def write(n: int) -> None:
        begin.wait()
        for i in range(30):
            append(path, f"{n}-{i:02}\n".encode(), 20)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [line for file in path.parent.iterdir() for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{n}-{i:02}" for n in range(4) for i in range(30))
    assert all(file.stat().st_size <= 20 for file in path.parent.iterdir())


def checked(path: Path) -> Sequence[Finding]:
    return asyncio.run(asked(path))


async def asked(path: Path) -> Sequence[Finding]:
    options = PLUGIN.options.model_validate({"path": str(path)})
    async with PLUGIN.open(options, DestinationContext({})) as destination:
        assert isinstance(destination, Checkable)
        return await destination.check()


def test_a_check_neither_makes_nor_changes_the_file(path: Path) -> None:
    assert list(checked(path)) == []
    assert not path.exists()
    path.write_text("kept\n")
    assert list(checked(path)) == []
    assert path.read_text() == "kept\n"


def test_what_cannot_be_written_is_said_with_a_cure(path: Path) -> None:
    for wrong, said in ((path / "below" / "failed.jsonl", "make the directory"), (path.parent, "name a file")):
        (finding,) = checked(wrong)
        assert finding.broken
        assert said in finding.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_directory_that_is_not_ours_is_said(path: Path) -> None:
    path.parent.chmod(0o555)
    (finding,) = checked(path)
    assert (finding.broken, "let the user that esm runs as write there" in finding.text) == (True, True)
