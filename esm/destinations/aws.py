"""Calls of AWS by destinations: a client is leased with the first of them, and what fails is `Undeliverable`.

Nothing is asked before there is something to deliver, so credentials that are not there yet, or a profile that
never will be, keep no engine from starting.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

from pydantic import Field

from esm.clients.aws import AwsClient, AwsOptions, Lease, lease
from esm.clients.aws_errors import translated
from esm.core.notice import text_of, without_records
from esm.errors import Disconnected, Undeliverable
from esm.model import Finding

MaxBytes = Annotated[int, Field(ge=1024, le=1_048_576)]
"""How large a message may be: 1 MiB at most, where somebody allowed it."""

USUAL_MAX_BYTES = 262_144
"""What every queue, topic, function and bus takes, as long as nobody has raised or lowered it."""

_MISSING = re.compile(r"Error Code: (?:\S*NonExistentQueue|ResourceNotFoundException|NotFound|NoSuchBucket|404)\.")
"""How services say that something is not there; an answer to HEAD has no more than its status."""


class Service:
    """One service. `label` is how AWS's texts call it."""

    def __init__(self, name: str, label: str, options: AwsOptions, stack: AsyncExitStack, take: Lease) -> None:
        self._name = name
        self._label = label
        self._options = options
        self._stack = stack
        self._lease = take
        self._client: AwsClient | None = None
        self._leasing = asyncio.Lock()

    async def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """`operation` as botocore's clients name it. Raises `Undeliverable` with AWS's text."""
        try:
            return await self._asked(operation, parameters)
        except Disconnected as error:
            raise Undeliverable(_reason(error)) from None

    async def check(self, operation: str, needs: str = "", **parameters: Any) -> Sequence[Finding]:
        """What is wrong with a destination that `operation` asks about without giving it anything.

        `needs`: the action that this takes and delivering does not; then a refusal shows nothing.
        """
        try:
            await self._asked(operation, parameters)
        except Disconnected as error:
            if error.code == "AccessDenied" and needs:
                text = f"{_reason(error)}: to look whether it is there takes {needs}; to deliver does not"
                return [Finding(broken=False, text=text)]
            cure = ": make it, or correct the destination" if _MISSING.search(error.reason) else ""
            return [Finding(broken=True, text=f"{_reason(error)}{cure}")]
        return []

    async def _asked(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises `Disconnected`."""
        with translated(self._label):
            client = await self._leased()
            return dict(await getattr(client, operation)(**parameters))

    async def _leased(self) -> Any:
        async with self._leasing:
            if self._client is None:
                self._client = await self._stack.enter_async_context(self._lease(self._name, self._options))
            return self._client.cold


def _reason(error: Disconnected) -> str:
    """Of a missing queue there is one text, AWS's for a source."""
    return error.reason.replace("while ReceiveMessage.", "while SendMessage.")


@asynccontextmanager
async def open_service(name: str, label: str, options: AwsOptions, take: Lease = lease) -> AsyncIterator[Service]:
    """`name` is botocore's; the client is given back at the end."""
    async with AsyncExitStack() as stack:
        yield Service(name, label, options, stack, take)


def in_region(arn: str, aws: AwsOptions, defaults: Mapping[str, Any]) -> AwsOptions:
    """How to reach what `arn` names: it says in which region, the options and the file's defaults the rest."""
    return aws.over(defaults).model_copy(update={"region": arn.split(":")[3]})


def fitting(document: Mapping[str, Any], limit: int) -> str:
    """The JSON of a document in at most `limit` bytes; the original records are left out if it has to be.

    Raises `Undeliverable` if that is not enough.
    """
    text = text_of(document)
    if len(text) > limit:
        text = text_of(without_records(document))
    if len(text) > limit:
        raise Undeliverable(f"the notice has {len(text)} bytes and max_bytes is {limit}: raise it")
    return text
