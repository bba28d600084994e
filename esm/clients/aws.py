"""AWS clients for sources and targets: one credentials chain per identity, one connection pool per endpoint.

Making a client is expensive (service model, TLS context, credentials), and a process may run hundreds of
mappings, so clients are leased: those who ask for the same service with the same options share one, and it is
closed when the last lease ends. Everything vendor-specific that is not about one operation lives here.

A client is a pair: aiobotocore's for what is asked now and then, and a lean one, with the same identity at the
same endpoint, for the calls that every page of records needs (docs/decisions/0020).
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.credentials import (  # type: ignore[import-untyped]
    AioAssumeRoleCredentialFetcher,
    AioDeferredRefreshableCredentials,
)
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]
from pydantic import Field

from esm import __version__
from esm.clients.aws_calls import JsonCalls, dialect_of
from esm.clients.aws_signed import Service, Signed, open_for
from esm.clients.http import HttpClient, Limits
from esm.options import Options

LONGEST_WAIT = 20.0
"""Seconds of the longest long poll that an AWS service offers (SQS ReceiveMessage)."""

OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""What the host of AWS's own endpoints ends with."""

_USER_AGENT = f"esm-engine/{__version__}"
_CONNECT = 5.0
_LIMITS = Limits(
    timeout=LONGEST_WAIT + 10,
    connections=0,  # no limit of its own: whoever makes calls bounds how many are open at once
    body=2**27,  # ten messages of 1 MiB, each letter of them escaped
    connect=_CONNECT,
)
_CONFIG = AioConfig(
    user_agent=_USER_AGENT,
    parameter_validation=False,  # ours are right, and the service checks them anyway
    retries={"mode": "standard", "total_max_attempts": 2},  # hides a closed keep-alive connection, no outage
    connect_timeout=_CONNECT,
    read_timeout=_LIMITS.timeout,
    max_pool_connections=0,
    tcp_keepalive=True,
)


class AwsOptions(Options):
    """How to reach AWS. What is not given comes from the standard chain (environment, profile, metadata).

    `endpoint_url` replaces the service's own address (an emulator, a VPC endpoint). With `role_arn`, the role
    is assumed with the credentials that would have been used otherwise.
    """

    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://")
    profile: str | None = None
    role_arn: str | None = Field(default=None, pattern=r"^arn:[a-z-]+:iam::\d{12}:role/")

    def over(self, defaults: Mapping[str, Any]) -> "AwsOptions":
        """These options where they were given, `defaults` elsewhere; a given null is given."""
        return AwsOptions(**{**defaults, **self.model_dump(exclude_unset=True)})

    @property
    def sts(self) -> "AwsOptions":
        """How to reach STS. An endpoint of AWS serves one service only, an emulator serves all."""
        host = urlsplit(self.endpoint_url or "").hostname or ""
        return self.model_copy(update={"endpoint_url": None}) if host.endswith(OF_AWS) else self


@dataclass(frozen=True, slots=True)
class AwsClient:
    """`cold` is aiobotocore's client of the service, `signed` sends anything to it.

    `ca_bundle`: the authorities that botocore was told to trust, for clients with other limits (`open_for`).
    """

    cold: Any
    signed: Signed
    ca_bundle: str | None = None

    @property
    def hot(self) -> JsonCalls:
        """For services that speak AWS JSON."""
        dialect = dialect_of(self.cold.meta.service_model.metadata)
        return JsonCalls(self.signed, dialect, asyncio.sleep, random.random)


Lease = Callable[[str, AwsOptions], AbstractAsyncContextManager[AwsClient]]
"""Gives a client for a service, such as `sqs`, for as long as the context is open."""


@dataclass(slots=True)
class _Shared:
    """A client and those who use it."""

    users: int = 0
    client: AwsClient | None = None
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class Clients:
    """The clients of one event loop, shared by their options."""

    def __init__(self) -> None:
        self._sessions: dict[AwsOptions, AioSession] = {}
        self._shared: dict[tuple[str, AwsOptions], _Shared] = {}

    @asynccontextmanager
    async def lease(self, service: str, options: AwsOptions) -> AsyncIterator[AwsClient]:
        """A client of `service`; raises what botocore raises when there is no such profile or region."""
        shared = self._shared.setdefault((service, options), _Shared())
        shared.users += 1
        try:
            async with shared.making:
                if shared.client is None:
                    client = _paired(self._session(options), service, options)
                    shared.client = await shared.stack.enter_async_context(client)
            yield shared.client
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[service, options]
                await shared.stack.aclose()

    def _session(self, options: AwsOptions) -> AioSession:
        """One per identity; where STS is asked belongs to it if a role is assumed."""
        identity = options.sts if options.role_arn else AwsOptions(profile=options.profile)
        if identity not in self._sessions:
            self._sessions[identity] = _session(identity)
        return self._sessions[identity]


_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Clients] = WeakKeyDictionary()


def lease(service: str, options: AwsOptions) -> AbstractAsyncContextManager[AwsClient]:
    """A client shared by everything that runs on this event loop; see `Clients.lease`."""
    return _OF_LOOP.setdefault(asyncio.get_running_loop(), Clients()).lease(service, options)


def _session(identity: AwsOptions) -> AioSession:
    session = AioSession(profile=identity.profile)
    if identity.role_arn:
        session.register_component("credential_provider", _AssumedRole(identity))
    return session


@asynccontextmanager
async def _paired(session: AioSession, service: str, options: AwsOptions) -> AsyncIterator[AwsClient]:
    """Asks botocore where the service is, who calls it, and how it is reached."""
    async with _client(session, service, options) as cold, _http(session, cold.meta.endpoint_url) as http:
        place = Service(cold.meta.endpoint_url, cold.meta.region_name, cold.meta.service_model.signing_name)
        signed = Signed(http, place, await session.get_credentials(), time.time)
        yield AwsClient(cold, signed, session.get_config_variable("ca_bundle"))


def _http(session: AioSession, endpoint: str) -> AbstractAsyncContextManager[HttpClient]:
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    return open_for(endpoint, _LIMITS, headers, session.get_config_variable("ca_bundle"))


def _client(session: AioSession, service: str, options: AwsOptions, **keys: Any) -> Any:
    return session.create_client(
        service, region_name=options.region, endpoint_url=options.endpoint_url, config=_CONFIG, **keys
    )


class _AssumedRole:
    """Stands in for a session's chain: the chain's own credentials assume the role, again before they expire."""

    def __init__(self, identity: AwsOptions) -> None:
        self._identity = identity
        self._chain = AioSession(profile=identity.profile)

    async def load_credentials(self) -> AioDeferredRefreshableCredentials:
        """Called by the session once per client; the role itself is assumed with the first request."""
        source = await self._chain.get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=lambda service, **keys: _client(self._chain, service, self._identity, **keys),
            source_credentials=source,
            role_arn=self._identity.role_arn,
            extra_args={"RoleSessionName": "esm-engine"},
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
