"""A file as destination: one line of JSON for each notice, on the disk before anybody is told that it is.

Ours: AWS has none. A file that has grown is put aside under a number and never removed: these are the records
that nobody else has any more. The file is opened for each notice, so whoever moves it away does no harm.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from esm.clients.disk import cure, sync_directory
from esm.core.notice import text_of
from esm.errors import Undeliverable
from esm.model import Finding, Notice
from esm.options import Options
from esm.plugins import DestinationContext, DestinationPlugin

_URL = "file://"


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"path": text.removeprefix(_URL)} if text.startswith(_URL) else None


def _absolute(text: str) -> str:
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError(f"{text!r} is no absolute path of a file: write file:///var/lib/esm/failed.jsonl")
    return text


class FileOptions(Options):
    """`rotate_at`: bytes above which the file is put aside as NAME.1, NAME.2 and so on. None are removed."""

    path: Annotated[str, AfterValidator(_absolute)]
    rotate_at: Annotated[int, Field(ge=1024)] = 100 * 1024 * 1024


class FileDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: FileOptions) -> None:
        self._path = Path(options.path)
        self._rotate_at = options.rotate_at

    async def deliver(self, notice: Notice) -> None:
        line = text_of(notice.document).encode() + b"\n"
        try:
            await asyncio.to_thread(append, self._path, line, self._rotate_at)
        except OSError as error:
            raise Undeliverable(self._explained(error)) from None

    async def check(self) -> Sequence[Finding]:
        """Whether it can be written, without making it."""
        try:
            await asyncio.to_thread(_try, self._path)
        except OSError as error:
            return [Finding(broken=True, text=self._explained(error))]
        return []

    def _explained(self, error: OSError) -> str:
        return f"{self._path}: {error.strerror}: {cure(error, 'look at the file and its disk')}"


def _try(path: Path) -> None:
    """Raises OSError if nothing could be appended; to put the file aside its directory has to be writable too."""
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    if path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC))


def append(path: Path, line: bytes, rotate_at: int) -> None:
    """On the disk when it returns, the file's name too; as if it had never begun when it raises OSError."""
    while True:
        with _locked(path) as file:
            size = os.fstat(file).st_size
            if size == 0 or size + len(line) <= rotate_at:
                _write(file, line, size)
                sync_directory(path)
                return
            _put_aside(path)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file that has the name, for one writer at a time, in this process or another."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _has_name(file, path):  # otherwise it was put aside while we waited
                yield file
                return
        finally:
            os.close(file)


def _has_name(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _write(file: int, line: bytes, size: int) -> None:
    """Behind half a line, which a crash may have left, on a line of its own; half of this one is taken back."""
    whole = line if size == 0 or os.pread(file, 1, size - 1) == b"\n" else b"\n" + line
    try:
        rest = memoryview(whole)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


def _put_aside(path: Path) -> None:
    """Under the first number that is free above all that are taken: whoever cleans up leaves gaps."""
    ends = [one.name.removeprefix(f"{path.name}.") for one in path.parent.iterdir()]
    taken = [int(end) for end in ends if end.isdecimal()]
    path.rename(path.with_name(f"{path.name}.{max(taken, default=0) + 1}"))


@asynccontextmanager
async def open_file(options: FileOptions, _: DestinationContext) -> AsyncIterator[FileDestination]:
    yield FileDestination(options)


def _called(options: FileOptions) -> str:
    return f"{_URL}{options.path}"


PLUGIN = DestinationPlugin("file", FileOptions, _parse, open_file, _called)
