"""The function of a stream and the destination of its mapping, both outside the engine, as one witness.

What the function was called with is in its journal, what was given up is in a file.
"""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any, NamedTuple

from .function import Answer, Call, Function, Message, failing, function
from .harness import until
from .journal import Journal, Left

_QUIET = 20.0
_WHOLE_STORY = 120.0


def kinesis_record(record: dict[str, Any]) -> Message:
    """The data is `KEY/NUMBER`."""
    found = record["kinesis"]
    return Message(b64decode(found["data"]).decode(), found["sequenceNumber"])


def dynamodb_record(record: dict[str, Any]) -> Message:
    """`KEY/EVENT OLD>NEW`, with the numbers that the images hold."""
    found = record["dynamodb"]
    old, new = (found.get(f"{image}Image", {}).get("n", {}).get("N", "") for image in ("Old", "New"))
    return Message(f"{found['Keys']['id']['S']}/{record['eventName']} {old}>{new}", found["SequenceNumber"])


def kafka_record(record: dict[str, Any]) -> Message:
    """The value is `KEY/NUMBER`; the answer names a record by partition and offset."""
    partition = f"{record['topic']}-{record['partition']}"
    return Message(b64decode(record["value"]).decode(), {"partition": partition, "offset": record["offset"]})


def from_lowest(call: Call, answer: Answer) -> set[str]:
    """What an answer of a stream's function leaves undone: everything from the first record it reports on."""
    failed = Function.failed(call, answer)
    first = next((index for index, body in enumerate(call.bodies) if body in failed), len(call.bodies))
    return set(call.bodies[first:])


class DeadLetters:
    """The file of a destination that annotates. Its size says what had been given up by some moment."""

    def __init__(self, path: Path, reads: Callable[[dict[str, Any]], Message]) -> None:
        self.path = path
        self._reads = reads

    def size(self) -> int:
        """In bytes; 0 while there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def given_up(self) -> dict[str, int]:
        """Each record that is in a notice, and the size that the file had when its first one was complete."""
        if not self.path.exists():
            return {}
        lines = [line for line in self.path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        sizes = list(accumulate(map(len, lines)))
        return {
            self._reads(record).body: size
            for line, size in reversed(list(zip(lines, sizes, strict=True)))
            for record in json.loads(line)["esm"]["records"]
        }


class Mood(NamedTuple):
    """Which part of the calls fails, and which as large takes its time: at most `slowest` seconds."""

    rate: float = 0.1
    slowest: float = 0.0


_USUAL = Mood()


class Fickle:
    """A behaviour: fails some calls by chance, though no harmless record twice, and always those with poison.

    It fails with an error, or reports a record, or says that it is too busy. `held` is how much the destination
    held when a batch came.
    """

    def __init__(
        self, chance: Random, dead: DeadLetters, poison: Collection[str] = (), mood: Mood = _USUAL
    ) -> None:
        self.held: dict[str, int] = {}
        self._chance = chance
        self._dead = dead
        self._poison = frozenset(poison)
        self._mood = mood
        self._failed: set[str] = set()
        self._lock = Lock()

    def __call__(self, call: Call) -> Answer:
        with self._lock:
            self.held[call.headers["X-ESM-Batch-Id"]] = self._dead.size()
            pause = (
                self._chance.uniform(0.0, self._mood.slowest) if self._chance.random() < self._mood.rate else 0.0
            )
            answer = self._answer(call)
        time.sleep(pause)
        return answer

    def _answer(self, call: Call) -> Answer:
        poison = self._poison.intersection(call.bodies)
        if poison:
            return failing(call, *poison) if self._chance.random() < 0.5 else Answer(500, b"poison")
        if self._chance.random() >= self._mood.rate or self._failed.intersection(call.bodies):
            return Answer()
        self._failed.update(call.bodies)
        bad = self._chance.choice(call.bodies)
        return self._chance.choice((Answer(500, b"by chance"), failing(call, bad), Answer(429)))


class Consumer:
    """One mapping's function and destination.

    `journal` has the calls, `dead` what was given up, `held` how much that was when a batch came.
    """

    def __init__(self, served: Function, dead: DeadLetters, fickle: Fickle, left: Left = from_lowest) -> None:
        self.served = served
        self.dead = dead
        self.held = fickle.held
        self.journal = Journal(served, fickle, left)

    def mapping(self, source: Any, **options: Any) -> dict[str, Any]:
        """A mapping that gives a record up after three deliveries."""
        return {
            "source": source,
            "target": self.served.url,
            "starting_position": "TRIM_HORIZON",
            "batch_size": 20,
            "maximum_retry_attempts": 2,
            "bisect_batch_on_function_error": True,
            "function_response_types": ["ReportBatchItemFailures"],
            "destination_config": {"on_failure": {"destination": f"file://{self.dead.path}", "annotate": True}},
            **options,
        }

    def has(self, bodies: Collection[str]) -> bool:
        """Each of these is done or given up."""
        return set(bodies) <= set(self.journal.done) | set(self.dead.given_up())

    def settles(self, bodies: Collection[str]) -> None:
        """Waits until it has these, or nothing has come for a while: then the account says what is lost."""

        def is_over() -> bool:
            last = max((call.at for call in tuple(self.served.calls)), default=0.0)
            return self.has(bodies) or time.monotonic() - last > _QUIET

        until(is_over, "an end of the calls", _WHOLE_STORY)


@contextmanager
def consumer(
    dead: Path, reads: Callable[[dict[str, Any]], Message], chance: Random, poison: Collection[str] = (),
    *, mood: Mood = _USUAL, left: Left = from_lowest,
) -> Iterator[Consumer]:  # fmt: skip
    """One that is served; what it gives up goes to `dead`. `left` is for `Journal`, the rest for `Fickle`."""
    letters = DeadLetters(dead, reads)
    with function(Function(reads)) as served:
        yield Consumer(served, letters, Fickle(chance, letters, poison, mood), left)


def remembering(folder: Path) -> dict[str, Any]:
    """What stands in a configuration beside the mappings: positions in a file, and a log that tells of retries."""
    return {"state": {"url": f"sqlite://{folder}/state.db"}, "log": {"level": "debug"}}
