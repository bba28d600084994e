"""Brokers for the topic of the demonstration: librdkafka's own mock cluster, in a process of its own.

It comes with the client library, so nothing is installed. As a program this module prints the address of the
brokers, and runs until it is ended.
"""

import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from confluent_kafka import Producer

from esm.demo.process import Program, environment, running

_START_SECONDS = 20.0
_METADATA_SECONDS = 10.0
_ADDRESS = re.compile(r"^address (\S+:\d+)$", re.MULTILINE)


@asynccontextmanager
async def brokers(work: Path) -> AsyncIterator[str]:
    """Runs them; gives their address. Raises `DemoFailed` if they do not start."""
    log = work / "brokers.log"
    program = Program("the Kafka brokers", (sys.executable, "-m", "esm.demo.brokers"), environment({}), log)
    async with running(program) as run:
        await run.ready(lambda: _is_up(log), _START_SECONDS)
        yield _told(log) or ""


async def _is_up(log: Path) -> bool:
    return _told(log) is not None


def _told(log: Path) -> str | None:
    found = _ADDRESS.search(log.read_text(errors="replace"))
    return found and found[1]


def _main() -> None:
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=_METADATA_SECONDS).brokers.values()
    sys.stdout.write(f"address {broker.host}:{broker.port}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    _main()
