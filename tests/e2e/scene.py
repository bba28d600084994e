"""A topic under load, and daemons that share it: they are started, killed and held, and the account balances."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from servers.topics import Topic

from .consumer import Consumer
from .group_account import WHO, GroupAccount, Member, member
from .harness import Daemon, daemon, until, write_config
from .topic_load import TopicLoad

GROUP = "orders"
POISON = ("p0k1/5", "p3k0/30")


class Scene:
    """A topic under load, and daemons that share it. `members` are those that have ended."""

    def __init__(self, topic: Topic, load: TopicLoad, witness: Consumer, folder: Path, stack: ExitStack) -> None:
        self.topic = topic
        self.load = load
        self.witness = witness
        self.members: dict[str, Member] = {}
        self._folder = folder
        self._stack = stack
        self._running: dict[str, Daemon] = {}

    def start(self, who: str, **options: Any) -> Daemon:
        """Another daemon of the group."""
        source = {
            "type": "kafka",
            "bootstrap_servers": self.topic.bootstrap,
            "topic": self.topic.name,
            "consumer_group_id": GROUP,
            "session_timeout": "3s",
            "metadata_refresh": "1s",
            **options,
        }
        orders = self.witness.mapping(
            source,
            target={"type": "http", "url": self.witness.served.url, "headers": {WHO: who}},
            parallelization_factor=2,
            maximum_batching_window_in_seconds=0,
        )
        config = write_config(
            self._folder / f"{who}.yaml", "http://127.0.0.1:9", {"orders": orders}, log={"level": "debug"}
        )
        running = self._running[who] = self._stack.enter_context(daemon(config))
        return running

    def flows(self, *of: int) -> None:
        """Waits until all that was written by now of these partitions is done, and more; of none: of all."""
        prefixes = tuple(f"p{partition}k" for partition in of or range(self.load.partitions))
        known = set(self.load.taken)
        until(lambda: any(body.startswith(prefixes) for body in set(self.load.taken) - known), "the load goes on")
        new = {body for body in set(self.load.taken) if body.startswith(prefixes)} - set(POISON)
        until(lambda: new <= set(self.witness.journal.done), f"{prefixes} flow")

    def calls(self, who: str) -> int:
        return sum(call.headers[WHO] == who for call in tuple(self.witness.served.calls))

    def kill(self, who: str) -> None:
        running = self._running.pop(who)
        running.kill()
        self.members[who] = member(running, time.monotonic())

    def finish(self) -> GroupAccount:
        """Ends the load and, when all is done, the daemons; then the account balances."""
        self.load.stop()
        self.witness.settles(self.load.taken)
        for who, running in self._running.items():
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
            self.members[who] = member(running)
        account = GroupAccount(self.load.accepted(), self.witness, self.members)
        print(len(account.sent), account.again())
        account.balances()
        account.finished(self.topic, GROUP)
        return account


NewScene = Callable[[Topic, int], Scene]
"""Of a topic with so many partitions."""


def times(running: Daemon, kind: str) -> int:
    """How often partitions were "assigned" to it, or "lost"."""
    return len(running.lines(f"the group shares its partitions out: {kind}"))
