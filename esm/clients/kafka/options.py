"""How brokers are reached and convinced: options that a topic has as a source and as a destination."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from esm.options import Options, Secret

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_OAUTH = ("client_id", "client_secret", "token_endpoint_url")

CLUSTER = re.compile(r"arn:aws(-[a-z]+)*:kafka:[a-z0-9-]+:\d{12}:(?:cluster|vpc-connection)/.+")

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
NEEDS_NAME = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class _Hidden(Options):
    model_config = ConfigDict(hide_input_in_errors=True, use_attribute_docstrings=True)


def _one_by_one(value: object) -> object:
    """`b1:9092,b2:9092`, as most clients have it."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _addresses(brokers: tuple[str, ...]) -> tuple[str, ...]:
    for broker in brokers:
        if not _ADDRESS.fullmatch(broker):
            secured = "; TLS and who we are is what `tls` and `sasl` say" if "://" in broker else ""
            raise ValueError(f"holds {broker!r}, which is no host:port{secured}")
    return brokers


Brokers = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_by_one, json_schema_input_type=str | list[str]),
    AfterValidator(_addresses),
    Field(min_length=1),
]


ClusterArn = Annotated[str, Field(pattern=CLUSTER.pattern)]
"""Of a cluster of Amazon MSK."""


def _named(text: str) -> str:
    if not _TOPIC.fullmatch(text) or text in {".", ".."}:
        raise ValueError(f"{text!r} is no topic: up to 249 letters, digits, ., _ and -")
    return text


TopicName = Annotated[str, AfterValidator(_named)]

Setting = str | int | float | bool
"""One of librdkafka."""


def without(ours: frozenset[str]) -> Callable[[Mapping[str, Setting]], Mapping[str, Setting]]:
    """Refuses what the engine depends on."""

    def free(settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
        if taken := sorted(ours.intersection(settings)):
            raise ValueError(
                f"cannot hold {', '.join(taken)}: the engine depends on that, or has an option for it"
            )
        return settings

    return free


class KafkaTls(_Hidden):
    """PEM files; when they change the group is joined anew. `ca` replaces the system's authorities."""

    ca: str | None = None
    """Authorities to trust instead of the system's."""

    certificate: str | None = None
    """Our own certificate, for brokers that ask for one."""

    key: str | None = None
    """The certificate's key."""

    key_password: Secret | None = None
    """The passphrase of an encrypted key."""

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if (self.key is None) != (self.certificate is None):
            raise ValueError("certificate and key go together")
        if self.key_password is not None and self.key is None:
            raise ValueError("key_password needs key")
        return self


class Sasl(_Hidden):
    """Who we are. Files are read again while the engine runs, so that what is changed there needs no restart."""

    mechanism: Mechanism

    username: str | None = None
    """PLAIN and SCRAM."""

    password: Secret | None = None
    """PLAIN and SCRAM."""

    password_file: str | None = None
    """Instead of `password`: read again for new connections, whenever it has changed."""

    token_endpoint_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """OAUTHBEARER: where tokens are asked for, as OIDC has it."""

    client_id: str | None = None
    """OAUTHBEARER."""

    client_secret: Secret | None = None
    """OAUTHBEARER."""

    scope: str | None = None
    """OAUTHBEARER: what the token is asked for."""

    extensions: Mapping[str, str] = {}
    """OAUTHBEARER: sent to the brokers beside the token, such as logicalCluster and identityPoolId."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        named = self.mechanism in NEEDS_NAME
        given = [name for name in ("username", "password", "password_file", *_OAUTH) if getattr(self, name)]
        wanted = {"username"} if named else set(_OAUTH) if self.mechanism == "OAUTHBEARER" else set()
        if missing := sorted(wanted - set(given)):
            raise ValueError(f"{self.mechanism} needs {', '.join(missing)}")
        if named and (self.password is None) == (self.password_file is None):
            raise ValueError(f"{self.mechanism} needs one of password and password_file")
        allowed = wanted | {"password", "password_file"} if named else wanted
        if spare := sorted(set(given) - allowed):
            raise ValueError(f"{self.mechanism} has no {', '.join(spare)}")
        return self


def _no_tls(value: object) -> object:
    """`tls: true` trusts the system's authorities."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        raise ValueError("has to be true, false, or PEM files: {ca, certificate, key}")  # noqa: TRY004 -- pydantic's
    return {} if value is True else None if value is False else value


Tls = Annotated[KafkaTls | None, BeforeValidator(_no_tls, json_schema_input_type=KafkaTls | bool | None)]
