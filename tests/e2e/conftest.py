"""What most end-to-end tests need: a function that is served, and oracles for new queues."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from servers import QueueMaker, Server

from .function import Function, function
from .queue_account import Oracle

Clients = Callable[[str], Any]


@pytest.fixture
def functions() -> Iterator[Callable[[], Function]]:
    """Gives a function that is being served, each time another."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(function())


@pytest.fixture
def new_oracle(boto_sqs: Clients, make_queue: QueueMaker) -> Callable[..., Oracle]:
    """Makes a queue on a server, and the oracle that knows what is sent to it."""

    def made(server: Server, **queue: Any) -> Oracle:
        return Oracle(boto_sqs(server.endpoint_url), make_queue(server.endpoint_url, **queue))

    return made
