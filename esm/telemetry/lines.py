"""Writes lines to a stream from a thread of its own, so that a reader that does not keep up holds up nobody.

A full pipe blocks whoever writes to it; the event loop must not be that one. The queue is bounded: what does
not fit is dropped, and the next line that gets through says how much.
"""

import queue
import threading
from collections.abc import Callable
from typing import TextIO

_ROOM = 10_000
_PATIENCE = 2.0


class LineWriter:
    """Owns a daemon thread until `close`.

    `dropped` renders the line that says how many were dropped; `room` is in lines, `patience` in seconds.
    """

    def __init__(
        self, stream: TextIO, dropped: Callable[[int], str], room: int = _ROOM, patience: float = _PATIENCE
    ) -> None:
        self._stream = stream
        self._dropped_line = dropped
        self._patience = patience
        self._lines: queue.Queue[str | None] = queue.Queue(room)
        self._dropped = 0
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="esm-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Never blocks and never raises; safe from any thread."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            with self._counting:
                self._dropped += 1

    def close(self) -> None:
        """Writes what is left while patience lasts: a stuck reader must not hold up the exit."""
        try:
            self._lines.put(None, timeout=self._patience)
        except queue.Full:
            return
        self._thread.join(self._patience)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._put(line)
            self._confess()

    def _confess(self) -> None:
        with self._counting:
            count, self._dropped = self._dropped, 0
        if count:
            self._put(self._dropped_line(count))

    def _put(self, line: str) -> None:
        try:
            self._stream.write(f"{self._writable(line)}\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more: there is nowhere left to complain
            return

    def _writable(self, line: str) -> str:
        """A terminal that knows only ASCII shows the rest escaped, rather than losing the line."""
        encoding = self._stream.encoding or "utf-8"
        return line.encode(encoding, "backslashreplace").decode(encoding)
