"""A program of its own that outlives the engine by a moment: it ends the workers of an engine that was killed.

It reads the numbers of process groups, `+N` for one that was started and `-N` for one that is gone. The end of
its input is the end of the engine. It imports nothing of the engine, so it is small and quick to start.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def keep(lines: Iterable[str]) -> None:
    """Returns when the lines end, with every group that is left killed."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line.startswith("+") else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those are for the engine, which drains first
    keep(sys.stdin)
