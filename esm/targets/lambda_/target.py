"""The Lambda target: one signed Invoke per call, over connections that stay open between calls."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

from yarl import URL

from esm import __version__
from esm.clients.aws_errors import translated
from esm.clients.aws_signed import Signed, open_for
from esm.clients.http import Answered, Exchange, Limits
from esm.clients.http.origin import origin_of
from esm.errors import Disconnected
from esm.model import Finding, Invocation, Outcome, Refused, Reply
from esm.plugins import TargetContext
from esm.targets.lambda_.options import LambdaOptions
from esm.targets.lambda_.replies import reply_to
from esm.targets.signing import lambda_client, post

_LARGEST_ANSWER = 7 * 2**20
"""Bytes. Lambda ends an answer above 6,291,556 itself, as a function error that says so."""

_SYNCHRONOUS = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}
_DRY_RUN = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "DryRun"}


class LambdaTarget:
    """Implements `Target` and `Checkable`. `aws`: aiobotocore's client for Lambda. `wall`: epoch seconds."""

    def __init__(self, signed: Signed, aws: Any, options: LambdaOptions, wall: Callable[[], float]) -> None:
        self._signed = signed
        self._aws = aws
        self._options = options
        self._wall = wall
        self._name = options.function.address(aws.meta.region_name)
        self._path = _invocations(self._name, options.function.qualifier)
        self._headers = {**_SYNCHRONOUS, "X-Amz-Log-Type": "Tail"} if options.log_tail else _SYNCHRONOUS

    async def invoke(self, call: Invocation) -> Reply:
        return self._read(await post(self._signed, self._path, call.payload, self._headers))

    async def check(self) -> Sequence[Finding]:
        """Asks whether it may invoke, without doing so, and then what the function says of itself."""
        refused = await self._dry_run()
        if refused is not None:
            return [Finding(broken=refused.outcome is not Outcome.THROTTLED, text=refused.message)]
        return [Finding(broken=False, text=text) for text in await self._remarks()]

    def _read(self, exchange: Exchange | Refused) -> Reply:
        if isinstance(exchange, Refused):
            return exchange
        return reply_to(exchange, timeout=self._options.timeout, now=self._wall())

    async def _dry_run(self) -> Refused | None:
        exchange = await post(self._signed, self._path, b"{}", _DRY_RUN)
        if isinstance(exchange, Answered) and exchange.status == 204:
            return None
        reply = self._read(exchange)
        if isinstance(reply, Refused):
            return reply
        return Refused(
            Outcome.MISCONFIGURED, f"what answers at {_shown(self._signed.service.endpoint)} is not Lambda"
        )

    async def _remarks(self) -> Sequence[str]:
        """None where it may not be asked: a role that invokes needs no right to read the configuration."""
        function = self._options.function
        chosen = {"Qualifier": function.qualifier} if function.qualifier else {}
        try:
            with translated("Lambda"):
                facts = await self._aws.get_function_configuration(FunctionName=self._name, **chosen)
        except Disconnected:
            return []
        return remarks(self._options, facts)


def remarks(options: LambdaOptions, facts: Mapping[str, Any]) -> Sequence[str]:
    """What will hurt about a function of which GetFunctionConfiguration says these facts."""
    found = []
    name, own, state = options.function.name, facts.get("Timeout"), facts.get("State")
    if own is not None and own > options.timeout:
        found.append(
            f"{name} may take {own} s and is waited for only {options.timeout:g} s: a batch that takes longer is "
            "delivered again while the function still works on it; set `timeout` above it"
        )
    if state not in {None, "Active"}:
        why = f": {facts['StateReason']}" if facts.get("StateReason") else ""
        found.append(f"{name} is in the state {state}{why}")
    return found


def _shown(endpoint: str) -> str:
    """Host and port: a URL may hold a password too."""
    return str(origin_of(URL(endpoint)))


def _invocations(name: str, qualifier: str | None) -> str:
    """Where Invoke is posted to; names are percent-encoded as botocore does."""
    chosen = f"?Qualifier={quote(qualifier, safe='-_.~')}" if qualifier else ""
    return f"/2015-03-31/functions/{quote(name, safe='-_.~')}/invocations{chosen}"


@asynccontextmanager
async def open_lambda(
    options: LambdaOptions, context: TargetContext, *, wall: Callable[[], float] = time.time
) -> AsyncIterator[LambdaTarget]:
    """Raises ValueError when there is no such profile, no region, or nothing to assume the role with."""
    limits = Limits(options.timeout, 0, _LARGEST_ANSWER)
    agent = {"User-Agent": f"esm-engine/{__version__}"}
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(lambda_client(options.reach(context.aws)))
        endpoint = aws.signed.service.endpoint
        try:
            http = await stack.enter_async_context(open_for(endpoint, limits, agent, aws.ca_bundle))
        except OSError as error:
            raise ValueError(f"the authorities for {_shown(endpoint)} cannot be read: {error}") from None
        yield LambdaTarget(aws.signed.over(http, endpoint), aws.cold, options, wall)
