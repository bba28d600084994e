"""How the brokers of one source are reached, found out anew whenever a group is joined."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from esm.clients.aws import AwsOptions, Lease
from esm.clients.kafka.msk import brokers_of, iam_tokens
from esm.clients.kafka.options import KafkaTls, Sasl
from esm.clients.kafka.secrets import AccessEntry, settings_of
from esm.clients.kafka.settings import Tokens, brokers_settings
from esm.errors import Disconnected


class Access(Struct, frozen=True):
    """`brokers` are empty where `cluster` is the ARN of one of Amazon MSK."""

    brokers: str
    cluster: str | None
    tls: KafkaTls | None
    sasl: Sasl | None
    entries: Sequence[AccessEntry]
    aws: AwsOptions
    lease: Lease

    async def settings(self) -> dict[str, Any]:
        """For every kind of client. Raises `Disconnected`."""
        if self.entries:
            known = await settings_of(self.entries, self.aws, self.lease)
            return {"bootstrap.servers": await self._found(), "log_level": 0, **known}
        try:
            return brokers_settings(await self._found(), self._trusted, self.sasl, self._tokens())
        except OSError as error:
            raise Disconnected("Authentication", f"{error.filename}: {error.strerror}", lasting=True) from None

    async def _found(self) -> str:
        if self.cluster is None:
            return self.brokers
        return await brokers_of(self.cluster, self._mechanism, self.aws, self.lease)

    @property
    def _mechanism(self) -> str:
        kinds = {entry.type for entry in self.entries}
        if "SASL_SCRAM_512_AUTH" in kinds:
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

    def _tokens(self) -> Tokens | None:
        return iam_tokens(self.aws) if self.sasl is not None and self.sasl.mechanism == "AWS_MSK_IAM" else None
