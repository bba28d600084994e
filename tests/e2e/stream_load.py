"""A producer that keeps writing to a stream while others change its shards, and what the stream then holds."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Event, Lock, Thread

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from servers.streams import DataStream

from .stream_account import Accepted


class Load:
    """Puts `KEY/NUMBER` for each key in turn, numbers in order, every `pause` seconds.

    What was not said to be taken is not put again: whether it was is asked of the stream when all is over.
    """

    def __init__(self, stream: DataStream, keys: int, pause: float = 0.1) -> None:
        self.stream = stream
        self.keys = [f"k{number}" for number in range(keys)]
        self.taken: dict[str, float] = {}
        self._pause = pause
        self._numbers = count()
        self._stop = Event()
        self._putting = Lock()

    def run(self) -> None:
        """Until stopped; then it may be run again, and goes on."""
        self._stop.clear()
        for number in self._numbers:
            bodies = [f"{key}/{number}" for key in self.keys]
            with self._putting:
                if self._stop.is_set():
                    return
                since = time.monotonic()
                self.taken |= dict.fromkeys(self._put(bodies), since)
            self._stop.wait(self._pause)

    def stop(self) -> None:
        """Nothing more is put from now on."""
        self._stop.set()
        with self._putting:
            return

    def _put(self, bodies: Sequence[str]) -> list[str]:
        try:
            taken = self.stream.put_batch([(body.partition("/")[0], body.encode()) for body in bodies])
        except (BotoCoreError, ClientError):
            return []
        return [body for body, is_taken in zip(bodies, taken, strict=True) if is_taken]

    def accepted(self) -> list[Accepted]:
        """What the stream holds, among it all that it said to have taken."""
        found = accepted_by(self.stream, self.taken)
        lost = set(self.taken) - {one.body for one in found}
        assert not lost, f"the stream has lost {sorted(lost)[:10]}"
        return found


def accepted_by(stream: DataStream, taken: Mapping[str, float]) -> list[Accepted]:
    """What a stream holds, each key in the order of its numbers; `taken` says since when, where it is known."""
    held = [
        Accepted(body, shard["ShardId"], int(record["SequenceNumber"]), taken.get(body, 0.0))
        for shard in stream.shards()
        for record in stream.contents(shard["ShardId"])
        for body in [record["Data"].decode()]
    ]
    return sorted(held, key=lambda one: int(one.body.partition("/")[2]))


@contextmanager
def loading(load: Load) -> Iterator[Load]:
    """It puts records until it is stopped, or the context is left."""
    with beside(load.run):
        try:
            yield load
        finally:
            load.stop()


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """In a thread of its own; what it raises is raised here when it has ended."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- raised where somebody sees it
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


def parents_of(stream: DataStream) -> Mapping[str, Sequence[str]]:
    """The shards before each shard."""
    return {
        shard["ShardId"]: [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]
        for shard in stream.shards()
    }
