"""What a worker prints: line by line into the engine's log, and the end of it kept for errors.

A worker writes into a pipe that is read whenever something is in it, so a function is never held up by its
own prints.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress

_TAIL = 4096  # bytes: as much as Lambda returns of a log
_LONGEST_LINE = 4096
_AT_ONCE = 65_536
_MOST_READS = 16
_ENDS = re.compile(rb"[\r\n]")  # inside of one message AWS's clients write a carriage return


class Output:
    """The reading end of a pipe; `say` is told each line, without its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._line = b""
        self._tail = b""
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._open = True
        asyncio.get_running_loop().add_reader(self._reading, self._ready)

    def started(self) -> None:
        """The worker has the writing end now."""
        os.close(self.writing)

    def forget(self) -> None:
        """A new invocation begins."""
        self._tail = b""

    def tail(self) -> str:
        """The last 4 KiB that were printed, with whatever is in the pipe right now."""
        self._ready()
        return self._tail.decode(errors="replace")

    def close(self) -> None:
        """Reads what is left, which is all of it once the worker's group is dead."""
        self._ready()
        self._end()

    def _ready(self) -> None:
        """At most 1 MiB a time: the loop has other things to do."""
        for _ in range(_MOST_READS):
            if not self._open:
                return
            try:
                chunk = os.read(self._reading, _AT_ONCE)
            except OSError:  # nothing there
                return
            self._take(chunk) if chunk else self._end()

    def _take(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-_TAIL:]
        *lines, self._line = _ENDS.split(self._line + chunk)
        while len(self._line) > _LONGEST_LINE:
            lines.append(self._line[:_LONGEST_LINE])
            self._line = self._line[_LONGEST_LINE:]
        for line in lines:
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode(errors="replace").rstrip()
        if text:
            self._say(text)

    def _end(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._reading)
            with suppress(OSError):
                os.close(self._reading)
            self._tell(self._line)
