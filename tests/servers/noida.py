"""noida-db: a small server in Rust that speaks Kafka's protocol among others. It owes nothing to Apache's code.

It keeps records and commits over a stop; a kill loses the last second. What it does otherwise than Kafka: a
member that was killed is never evicted; there is neither the newer consumer protocol nor TLS nor SASL; one
answer to a fetch holds the whole backlog, whatever the limit; aborted and control records take no offsets.
"""

import sys
from pathlib import Path

from .install import run_tool
from .probes import kafka_answers
from .recipe import Command, Place, Recipe

_VERSION = "0.2.3"
_PROGRAM = "lib/python*/site-packages/noida_db/noida-db"


def _install(home: Path) -> None:
    run_tool(sys.executable, "-m", "venv", home, cwd=home)
    run_tool(home / "bin" / "pip", "install", "--quiet", f"noida-db=={_VERSION}", cwd=home)
    _program(home).chmod(0o755)


def _command(place: Place) -> Command:
    options = ("start", "--only", "kafka", "--kafka-port", str(place.port), "--data-dir", f"{place.work}/data")
    return Command((str(_program(place.home)), *options))


def _program(home: Path) -> Path:
    # Not by its script, which holds the path that the environment had before its rename.
    (found,) = home.glob(_PROGRAM)
    return found


NOIDA = Recipe(
    name="noida",
    version=_VERSION,
    # An environment belongs to the interpreter that made it.
    origin=f"{sys.base_prefix} {sys.version}",
    install=_install,
    command=_command,
    probe=kafka_answers,
)
