"""How much memory the process may fill with records when the file does not say: half of what it is given.

What it is given is the smallest limit of its control group and that group's parents (version 2 or 1), else the
machine's memory. The other half is for everything that is not a record's bytes.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def default_limit(root: Path = Path("/"), *, installed: int | None = None) -> int:
    """Bytes. `root` is where /proc and /sys are found, `installed` the machine's memory in bytes."""
    return min(installed or _installed(), *_limits(root)) // 2


def _installed() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(root: Path) -> Iterator[int]:
    yield from (limit for file in _files(root) if (limit := _limit(file)) is not None)
    yield 2**63


def _files(root: Path) -> Iterator[Path]:
    """Inside a container the path that /proc names may not exist below the mount; its top always does."""
    mount = root / "sys/fs/cgroup"
    for controllers, group in _memberships(root / "proc/self/cgroup"):
        base, name = (mount, "memory.max") if not controllers else (mount / "memory", "memory.limit_in_bytes")
        yield from (base / parent.relative_to("/") / name for parent in (group, *group.parents))


def _memberships(file: Path) -> Iterator[tuple[str, PurePosixPath]]:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if (not controllers or "memory" in controllers.split(",")) and group.startswith("/"):
            yield controllers, PurePosixPath(group)


def _limit(file: Path) -> int | None:
    """None for `max`, and where there is no such file."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
