"""One process at a time: a lock of the operating system, which ends with the process however that ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from esm.clients.disk import cure
from esm.errors import StoreFailed

_TRIES = 10
_PAUSE = 0.02
_ELSEWHERE = "choose another state.url"


@contextmanager
def sole_user(path: Path) -> Iterator[None]:
    """Holds the lock file beside `path`, which stays behind: removing it would let two processes hold one each.

    Two names of one file share a lock. Raises `StoreFailed` if somebody else holds it, naming the process, or
    if it cannot be made.
    """
    beside = _beside(path)
    try:
        # Not inherited by programs that are started, so a child that lives on does not keep it.
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreFailed(f"{beside} cannot be made: {error.strerror}: {cure(error, _ELSEWHERE)}") from None
    try:
        _take(handle, path, beside)
        yield
    finally:
        os.close(handle)


def user_of(path: Path) -> str:
    """Who holds the lock file beside `path`, as `pid 42`; empty if nobody does.

    Asking takes it for a moment, shared with others who ask. Raises `StoreFailed` if it cannot be asked.
    """
    beside = _beside(path)
    try:
        handle = os.open(beside, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreFailed(f"{beside} cannot be read: {error.strerror}: {cure(error, _ELSEWHERE)}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(handle)
    finally:
        os.close(handle)
    return ""


def _beside(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(f"{real.name}.lock")


def _take(handle: int, path: Path, beside: Path) -> None:
    try:
        taken = _taken(handle)
    except OSError as error:
        raise StoreFailed(f"{beside} cannot be locked: {error.strerror}: use a local disk") from None
    if not taken:
        raise StoreFailed(
            f"{path} is in use by another process ({_holder(handle)}): stop that one, or give this one a"
            " state.url of its own"
        )
    with suppress(OSError):  # a full disk: the lock is held all the same, only nobody can read by whom
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)


def _taken(handle: int) -> bool:
    """Tries for a moment: it may be a tool that asks who has it."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE)
    return False


def _holder(handle: int) -> str:
    text = os.pread(handle, 32, 0).decode(errors="replace").strip()
    return f"pid {text}" if text.isdecimal() else "pid unknown"
