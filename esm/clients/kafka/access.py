"""How the brokers of one source are reached, found out anew whenever a group is joined."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from esm.clients.aws import AwsOptions, Lease
from esm.clients.kafka.msk import IamTokens, brokers_of, iam_tokens
from esm.clients.kafka.options import KafkaTls, Sasl
from esm.clients.kafka.secrets import AccessEntry, settings_of
from esm.clients.kafka.settings import files_of, identity_settings
from esm.errors import Disconnected


class Identity(Struct, frozen=True):
    """Settings that say who we are and whom we trust, and what was in the files that they name.

    Two are equal if a client that was made with the one needs nothing of the other.
    """

    settings: Mapping[str, Any]
    files: Mapping[str, bytes] = {}


class Access(Struct, frozen=True):
    """`brokers` are empty where `cluster` is the ARN of one of Amazon MSK."""

    brokers: str
    cluster: str | None
    tls: KafkaTls | None
    sasl: Sasl | None
    entries: Sequence[AccessEntry]
    aws: AwsOptions
    lease: Lease

    @property
    def may_change(self) -> bool:
        """Who we are is kept somewhere else, in files or secrets, and may be another tomorrow."""
        files = [] if self.tls is None else [self.tls.ca, self.tls.certificate]
        return bool(self.entries or any(files) or (self.sasl is not None and self.sasl.password_file))

    async def settings(self) -> dict[str, Any]:
        """For every kind of client. Raises `Disconnected`."""
        return await self.reaching(await self.identity())

    async def reaching(self, identity: Identity) -> dict[str, Any]:
        """For every kind of client, as who we are. Raises `Disconnected`."""
        # Of what goes wrong the engine tells in its own log.
        return {"bootstrap.servers": await self._found(), "log_level": 0, **identity.settings}

    async def identity(self) -> Identity:
        """Looked up anew. Raises `Disconnected`."""
        if self.entries:
            return Identity(await settings_of(self.entries, self.aws, self.lease))
        try:
            settings = identity_settings(self._trusted, self.sasl, await self._tokens())
            return Identity(settings, await asyncio.to_thread(files_of, settings))
        except OSError as error:
            reason = f"cannot read {error.filename}: {error.strerror}"
            raise Disconnected("Authentication", reason, lasting=True) from None

    async def _found(self) -> str:
        if self.cluster is None:
            return self.brokers
        return await brokers_of(self.cluster, self._mechanism, self.aws, self.lease)

    @property
    def _mechanism(self) -> str:
        kinds = {entry.type for entry in self.entries}
        if kinds & {"SASL_SCRAM_512_AUTH", "SASL_SCRAM_256_AUTH"}:
            return "SCRAM-SHA-512"
        if kinds:
            return "TLS"
        if self.sasl is not None:
            return self.sasl.mechanism
        return "PLAINTEXT" if self.tls is None else "TLS"

    @property
    def _trusted(self) -> KafkaTls | None:
        """Amazon MSK lets nobody in by name without TLS."""
        return KafkaTls() if self.tls is None and self.cluster is not None and self.sasl is not None else self.tls

    async def _tokens(self) -> IamTokens | None:
        """Tried once: a client would wait for a token for ten seconds, and then not say why there is none."""
        if self.sasl is None or self.sasl.mechanism != "AWS_MSK_IAM":
            return None
        tokens = iam_tokens(self.aws)
        await asyncio.to_thread(tokens.sign)
        return tokens
