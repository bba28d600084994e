"""`esm demo`: on the terminal, with the signals of a terminal."""

import asyncio
import signal

from rich.console import Console

from esm.cli.complain import lines
from esm.demo import Demo, DemoFailed, interruptible, play
from esm.runtime.signals import Stop

_NOT_PROVED = 1


def demo(*, serve: bool, port: int) -> int:
    """The exit code."""
    signals = _Signals()
    try:
        balanced = asyncio.run(signals.heeded(Demo(Console(highlight=False), serve=serve, port=port)))
    except DemoFailed as error:
        lines([f"esm demo: {error}"])
        return _NOT_PROVED
    except asyncio.CancelledError:
        lines(["esm demo: interrupted; everything that it started has ended"])
        return 128 + signals.last
    return 0 if balanced else _NOT_PROVED


class _Signals:
    """The first asks it to end in order, which it does when it serves; the next one ends it at once."""

    def __init__(self) -> None:
        self.last = 0
        self._stop = Stop()

    async def heeded(self, demo: Demo) -> bool:
        at_once = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._came, number, at_once)
        with interruptible(at_once):
            return await play(demo, self._stop)

    def _came(self, number: int, at_once: Stop) -> None:
        self.last = number
        if self._stop.is_set():
            at_once.set()
        self._stop.set()
