"""What every end-to-end test needs: the daemon as a process, its configuration, and patience.

What the engine counts is never believed: `function` and `journal` say what arrived, `queue_account` and
`stream_account` what became of everything. All is awaited by its signal (a log line, an answer, a queue's depth).
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from servers import Queue

T = TypeVar("T")
ESM = (sys.executable, "-m", "esm")

_POLL = 0.05
_PATIENCE = 30.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(look: Callable[[], T], what: str, within: float = _PATIENCE) -> T:
    """What `look` gives as soon as it is true; fails naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(_POLL)


def esm(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """One command, run to its end."""
    return subprocess.run(
        [*ESM, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env={**os.environ, **environ},
    )


class Daemon:
    """`esm run` as a process. Its configuration listens on port 0; where, the log says."""

    def __init__(self, config: Path, log: Path) -> None:
        self._log = log
        self._from = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [*ESM, "run", "--config", str(config), "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The log lines of this process with that message."""
        return [line for line in self.logged() if line.get("message") == message]

    def logged(self) -> list[dict[str, Any]]:
        """All log lines of this process."""
        return [line for line in map(_parsed, self.output.splitlines()) if line]

    @property
    def output(self) -> str:
        """Everything that this process wrote."""
        return self._log.read_bytes()[self._from :].decode(errors="replace")

    @cached_property
    def url(self) -> str:
        """Where it serves; waits until it is ready."""
        ready = until(self._ready_or_ended, f"ready\n{self.output}")
        assert ready, f"ended with {self.process.returncode}:\n{self.output}"
        return str(ready["status"]).removesuffix("/status")

    def status(self, mapping: str) -> dict[str, Any]:
        """What `/status` says of a mapping."""
        return dict(json.loads(self.get("/status"))["mappings"][mapping])

    def get(self, path: str) -> str:
        """The body of an answer; raises `HTTPError` for a bad status."""
        with _DIRECT.open(f"{self.url}{path}", timeout=5) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample of `/metrics`; 0 if there is none yet."""
        return next(
            (sample.value for sample in self.samples() if (sample.name, sample.labels) == (name, labels)), 0.0
        )

    def samples(self) -> list[Sample]:
        """All samples of `/metrics`."""
        told = text_string_to_metric_families(self.get("/metrics"))
        return [sample for family in told for sample in family.samples]

    def signal(self, number: signal.Signals) -> None:
        """To the daemon alone, not to its workers."""
        self.process.send_signal(number)

    def wait(self, within: float = _PATIENCE) -> int:
        """Its exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within:g} s:\n{self.output}") from None

    def kill(self) -> None:
        """At once, with its workers, as a crash of the machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _ready_or_ended(self) -> dict[str, Any] | None:
        found = self.lines("ready")
        assert found or self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
        return found[0] if found else None


@contextmanager
def daemon(config: Path) -> Iterator[Daemon]:
    """A daemon that does not outlive the test; started again with the same configuration, it logs on."""
    started = Daemon(config, config.with_suffix(".log"))
    try:
        yield started
    finally:
        started.kill()


def _parsed(line: str) -> dict[str, Any]:
    """Functions print beside the log: what is no JSON is no line of ours."""
    try:
        parsed = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def write_config(path: Path, endpoint_url: str, mappings: dict[str, Any], **top: Any) -> Path:
    """A configuration for an SQS server at `endpoint_url`; JSON is YAML too."""
    config = {
        "aws": {"region": "us-east-1", "endpoint_url": endpoint_url},
        "server": {"listen": "127.0.0.1:0"},
        "mappings": mappings,
        **top,
    }
    path.write_text(json.dumps(config, indent=2))
    return path


def mapping(queue: Queue, target: Any, **options: Any) -> dict[str, Any]:
    """A mapping with short long polls, so that a daemon stops soon."""
    return {"source": {"type": "sqs", "arn": queue.arn, "wait_time_seconds": 1}, "target": target, **options}
