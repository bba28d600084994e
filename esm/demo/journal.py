"""The function's own record of what it did, one file per worker process; the account is drawn up from it.

Times are of the machine's monotonic clock, which all processes share, so that the files can be merged.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

FOLDER_VARIABLE = "ESM_DEMO_JOURNAL"
"""Names the folder of the journal in the environment of the function."""


class Entry(Struct, frozen=True):
    """A message that the function took up at `at` (nanoseconds): `done`, or else failed."""

    at: int
    id: str
    done: bool


def note(message_id: str, *, done: bool) -> None:
    """Writes a line and hands it to the system at once: a killed process must not take it along."""
    path = Path(os.environ[FOLDER_VARIABLE]) / f"{os.getpid()}.jsonl"
    line = json.dumps({"at": time.monotonic_ns(), "id": message_id, "done": done})
    with path.open("a") as file:
        file.write(f"{line}\n")


def noted(message_id: str) -> bool:
    """Whether a worker process, this or another, has taken it up before."""
    return any(entry.id == message_id for entry in entries(Path(os.environ[FOLDER_VARIABLE])))


def entries(folder: Path) -> Sequence[Entry]:
    """Everything noted, in the order of time."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted((Entry(**json.loads(line)) for line in lines), key=lambda entry: entry.at)
