"""One server as a process of its own on 127.0.0.1: started, awaited, stopped, killed, started again.

A server counts as ready when *this* process holds its port and answers on it. An answer alone would
not do: another server might have taken the port in the moment between choosing and using it.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

import psutil  # type: ignore[import-untyped]

from .install import Unavailable
from .probes import http_answers
from .recipe import Place, Recipe

# Below the ports that kernels hand out for outgoing connections: while a server is down
# between a stop and a start, nobody else gets its port by accident.
_PORTS = range(20_000, 32_000)

_START_SECONDS = 40.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_TAIL_CHARACTERS = 4_000
_given_out: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that was not given to anybody else in this run.

    Chosen by the system's randomness: tests seed the module's, and two runs would choose alike.
    """
    for port in SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            if port in _given_out:
                continue
            _given_out.add(port)
            return port
    raise Unavailable("no free port on 127.0.0.1")


class Server:
    """A server at one address for its whole life, whether it runs at the moment or not."""

    def __init__(self, recipe: Recipe, home: Path, work: Path) -> None:
        self.name = recipe.name
        self.version = recipe.version
        self._answers = http_answers(recipe.probe) if isinstance(recipe.probe, str) else recipe.probe
        self._place = Place(home=home, work=work, port=free_port())
        self._command = recipe.command(self._place)
        self._log = work / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; it never changes."""
        return self._place.port

    @property
    def endpoint_url(self) -> str:
        """The URL that clients are given; it never changes."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Host and port, for clients that want no URL; it never changes."""
        return f"127.0.0.1:{self.port}"

    @property
    def scratch(self) -> Path:
        """The folder that it works in."""
        return self._place.work

    def start(self) -> None:
        """Starts it and returns when it answers, at most 40 s later.

        Raises Unavailable with the end of its log when it ends or does not answer.
        """
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Starts it and returns at once, for servers that are ready only together.

        It dies with the thread that called this. Raises Unavailable when there is no such program.
        """
        program, *_ = self._command.argv
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                _dying_with_us(self._command.argv),
                cwd=self._place.work,
                env={**os.environ, **self._command.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests: they stop their servers in order
            )

    def await_ready(self) -> None:
        """Returns when it answers, at most 40 s from now; one that does not is killed. Raises Unavailable."""
        if self._process is None:
            raise Unavailable(f"{self.name} was not started")
        try:
            self._await_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Asks it to end (SIGTERM) and waits; after 10 s it is killed. Does nothing when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once (SIGKILL), as a crash would. Does nothing when it does not run."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Holds it (SIGSTOP): its connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it was started and not ended; a server that is held runs."""
        return self._process is not None

    def restart(self) -> None:
        """Stops it in order and starts it again at the same address."""
        self.stop()
        self.start()

    def listening(self) -> set[tuple[str, int]]:
        """Every address and port that the process or a child of it listens on; empty when it does not run."""
        return set() if self._process is None else _listening(self._process.pid)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process.pid, number)
        _signal_group(process.pid, signal.SIGCONT)  # one that is held would not hear of it
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            _signal_group(self._process.pid, number)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not (self._answers(self.port) and self._holds_port(process)):
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_POLL_SECONDS)
                raise Unavailable(f"{self.name} ended with exit code {code}\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.name} did not answer within {_START_SECONDS:.0f} s\n{self._log_tail()}")

    def _holds_port(self, process: subprocess.Popen[bytes]) -> bool:
        return any(port == self.port for _, port in _listening(process.pid))

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-_TAIL_CHARACTERS:]


def _listening(pid: int) -> set[tuple[str, int]]:
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        sockets = [sock for process in family for sock in process.net_connections("inet")]
    except psutil.NoSuchProcess:
        return set()
    return {(sock.laddr.ip, sock.laddr.port) for sock in sockets if sock.status == psutil.CONN_LISTEN}


def _dying_with_us(argv: tuple[str, ...]) -> tuple[str, ...]:
    # A killed test run cannot stop its servers; where the kernel can do it instead, it is asked to.
    setpriv = shutil.which("setpriv")
    return argv if setpriv is None else (setpriv, "--pdeathsig", "KILL", *argv)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
