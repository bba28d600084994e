"""A stand-in for leased AWS clients: it notes every call and answers or fails as it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from esm.clients.aws import AwsClient, AwsOptions

Answers = Mapping[str, Mapping[str, Any] | Exception]
Call = tuple[str, Mapping[str, Any]]


class StubClient:
    """Every operation of every service; `answers` by operation, an exception is raised."""

    def __init__(self, answers: Answers) -> None:
        self.calls: list[Call] = []
        self._answers = answers

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Mapping[str, Any]]]:
        async def call(**parameters: Any) -> Mapping[str, Any]:
            self.calls.append((operation, parameters))
            answer = self._answers.get(operation, {})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


class StubLease:
    """Implements `Lease`; `asked` are the services and options of each lease, `given_back` counts their ends."""

    def __init__(self, answers: Answers | None = None, failure: Exception | None = None) -> None:
        self.client = StubClient(answers or {})
        self.asked: list[tuple[str, AwsOptions]] = []
        self.given_back = 0
        self._failure = failure

    @asynccontextmanager
    async def __call__(self, service: str, options: AwsOptions) -> AsyncIterator[Any]:
        self.asked.append((service, options))
        if self._failure:
            raise self._failure
        yield AwsClient(self.client, signed=None)  # type: ignore[arg-type]
        self.given_back += 1
