"""The SQLite store in a process that is killed, and on a disk that is full: what was acknowledged is there."""

import asyncio
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import pytest

from esm.errors import StoreFailed
from esm.stores import open_sqlite
from esm.testing.store_suite import row

PROGRAM = Path(__file__).with_name("swapping.py")
LANES = 8


@contextmanager
def swapping(path: Path, prepare: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The program at work on `path`; killed at the end if it still runs."""
    command = [sys.executable, str(PROGRAM), str(path), str(LANES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=prepare) as process:  # noqa: PLW1509
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")  # unlike a loop over it, this can be taken up again


def acknowledged(said: list[str]) -> dict[str, int]:
    """The last write of each lane that was said to be safe; a line that the kill cut off says nothing."""
    whole = [line.split() for line in said if line.startswith("lane-") and line.endswith("\n")]
    return {lane: int(counter) for lane, counter in whole}


def kept(path: Path) -> dict[str, int]:
    """The counter of each row; opening at once also shows that the lock died with its process."""

    async def look() -> dict[str, int]:
        async with open_sqlite(path) as store:
            rows = list(await store.view(row().scope))
        for one in rows:
            assert one.checkpoint is not None
            assert one.checkpoint.at == one.counter
        return {one.lane: one.counter for one in rows}

    return asyncio.run(look())


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    when = random.Random(7)
    for _ in range(6):
        with swapping(path) as process:
            said = list(islice(lines(process), when.randint(1, 400)))
            process.kill()
            said += list(lines(process))
        rows = kept(path)
        for lane, counter in acknowledged(said).items():
            assert counter <= rows[lane] <= counter + 1, lane
        assert not [line for line in said if line.startswith("refused")]


def test_a_process_that_lives_keeps_others_out(tmp_path: Path) -> None:
    with swapping(tmp_path / "state.db") as process, pytest.raises(StoreFailed, match=rf"\(pid {process.pid}\)"):
        kept(tmp_path / "state.db")


def test_a_limit_on_the_size_of_files_is_told_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, 128 * 1024))

    with swapping(path, narrow) as process:
        said = until_failed(process)
    assert "look at its space, its quota" in said[-1]
    assert acknowledged(said).items() <= kept(path).items()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mount.returncode:
        pytest.skip(f"no disk can be mounted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_loses_nothing_and_is_found_back(small_disk: Path) -> None:
    path = small_disk / "state.db"
    filler = small_disk / "filler"
    with swapping(path) as process:
        next(lines(process))
        fill(filler)
        said = until_failed(process)
        filler.unlink()
        for line in lines(process):
            said.append(line)
            if line.startswith("lane-"):
                break
    assert re.search("the disk (is full|fails)", "".join(said))
    rows = kept(path)
    assert all(rows[lane] >= counter for lane, counter in acknowledged(said).items())


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(b"x" * 4096)


def until_failed(process: subprocess.Popen[str]) -> list[str]:
    """What it said, up to its first complaint."""
    said: list[str] = []
    for line in lines(process):
        said.append(line)
        if line.startswith("failed:"):
            return said
    raise AssertionError(said)
