"""A topic under load, and daemons that share it: they come and go, and when all is over the account balances."""

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.topics import Topic

from .consumer import Consumer
from .group_account import WHO, GroupAccount, Member, member
from .harness import Daemon, daemon, until, write_config
from .topic_load import WRITE_SECONDS, TopicLoad

GROUP = "orders"
POISON = ("p0k1/5", "p3k0/30")


@dataclass
class Scene:
    """`source` and `mapping` are options of every daemon; `running` are those that were not told to end.

    `members` are those that have ended.
    """

    topic: Topic
    load: TopicLoad
    witness: Consumer
    folder: Path
    stack: ExitStack
    source: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)
    running: dict[str, Daemon] = field(default_factory=dict)
    ending: dict[str, Daemon] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)

    def start(self, who: str, **source: Any) -> Daemon:
        """Another daemon of the group, with options of its own."""
        given = {
            "type": "kafka",
            "bootstrap_servers": self.topic.bootstrap,
            "topic": self.topic.name,
            "consumer_group_id": GROUP,
            "session_timeout": "3s",
            "metadata_refresh": "1s",
            **self.source,
            **source,
        }
        options: dict[str, Any] = {
            "target": {"type": "http", "url": self.witness.served.url, "headers": {WHO: who}},
            "parallelization_factor": 2,
            "maximum_batching_window_in_seconds": 0,
            **self.mapping,
        }
        mappings = {"orders": self.witness.mapping(given, **options)}
        config = write_config(self.folder / f"{who}.yaml", "http://127.0.0.1:9", mappings, log={"level": "debug"})
        running = self.running[who] = self.stack.enter_context(daemon(config))
        return running

    def flows(self, *of: int) -> None:
        """Waits until all that was written by now of these partitions is done, and more; of none: of all."""
        prefixes = tuple(f"p{partition}{mark}" for partition in of or range(self.load.partitions) for mark in "k/")
        for _ in range(2):  # the first round may have been written, and done, before we were called
            self._goes_on(prefixes)
        new = {body for body in set(self.load.taken) if body.startswith(prefixes)}
        until(lambda: self.witness.has(new), f"{prefixes} flow")

    def _goes_on(self, prefixes: tuple[str, ...]) -> None:
        known = set(self.load.taken)

        def written() -> bool:
            return any(body.startswith(prefixes) for body in set(self.load.taken) - known)

        until(written, "the load goes on", within=WRITE_SECONDS)

    def calls(self, who: str) -> int:
        """How often it called the function."""
        return sum(call.headers[WHO] == who for call in tuple(self.witness.served.calls))

    def kill(self, who: str) -> None:
        """At once, whatever it does."""
        running = self.running.pop(who)
        running.kill()
        self.members[who] = member(running, time.monotonic())

    def end(self, who: str) -> Daemon:
        """In order; `ended` waits for it."""
        running = self.ending[who] = self.running.pop(who)
        running.signal(signal.SIGTERM)
        return running

    def finish(self) -> GroupAccount:
        """Ends all, and the account balances."""
        account = self.ended()
        print(len(account.sent), account.again())
        account.balances()
        account.finished(self.topic, GROUP)
        return account

    def ended(self) -> GroupAccount:
        """Ends the load and, when all is done, the daemons."""
        self.load.stop()
        self.witness.settles(self.load.taken)
        for who, running in tuple(self.running.items()):
            assert running.url  # it would not hear us before
            self.end(who)
        for who, ending in self.ending.items():
            assert ending.wait() == 0, ending.output
            self.members[who] = member(ending)
        return GroupAccount(self.load.accepted(), self.witness, self.members)


NewScene = Callable[[Topic, int], Scene]
"""Of a topic with so many partitions."""


def times(running: Daemon, kind: str) -> int:
    """How often partitions were "assigned" to it, or "lost"."""
    return len(running.lines(f"the group shares its partitions out: {kind}"))
