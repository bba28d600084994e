"""Options of an HTTP target. Whatever may be a secret is one, so it never shows in a status or an error."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from yarl import URL

from esm.clients.aws import AwsOptions
from esm.clients.http.given import is_unprintable, usable_headers, usable_url
from esm.options import Options, Secret, TargetOptions

_FUNCTION_URL = re.compile(r"\.lambda-url\.(?P<region>[a-z0-9-]+)\.on\.aws$")
_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "idempotency-key",
        "transfer-encoding",
        "upgrade",
        "x-esm-attempt",
        "x-esm-batch-id",
        "x-esm-mapping",
        "x-esm-signature",
    }
)


class _Hidden(Options):
    model_config = ConfigDict(hide_input_in_errors=True)


class Basic(_Hidden):
    username: str
    password: Secret


class Auth(_Hidden):
    """Exactly one of them. `aws_iam`: signed for the function URL of a Lambda function, in whose name."""

    basic: Basic | None = None
    bearer: Secret | None = None
    aws_iam: AwsOptions | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.basic, self.bearer, self.aws_iam].count(None) != 2:
            raise ValueError("give one of basic: {username, password}, bearer and aws_iam")
        if self.bearer is not None and is_unprintable(self.bearer):
            raise ValueError("bearer holds a line break or another control character")
        return self


def _spelled_out(value: object) -> object:
    """`auth: aws_iam`, where the file's `aws:` says all about it."""
    if isinstance(value, str) and value != "aws_iam":
        raise ValueError("write aws_iam, {bearer: …} or {basic: {username: …, password: …}}")
    return {"aws_iam": {}} if value == "aws_iam" else value


class Tls(_Hidden):
    """PEM files. `ca` replaces the system's authorities; `key` may be left out if `certificate` holds it."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("key needs certificate")
        return self


class Signature(_Hidden):
    secret: Annotated[Secret, Field(min_length=1)]


class HttpOptions(TargetOptions):
    """`timeout` runs from having a connection to the end of the answer.

    `max_connections`: None for as many as there are calls. `max_response_bytes`: 6 MiB, what Lambda allows a
    synchronous answer. `refused_statuses`: answers that say the function was not reached. `protocol`: `rie` for
    the path and the error bodies of Lambda's Runtime Interface Emulator.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    headers: Mapping[str, Secret] = Field(default_factory=dict)
    protocol: Literal["http", "rie"] = "http"
    auth: Annotated[
        Auth | None, BeforeValidator(_spelled_out, json_schema_input_type=Auth | Literal["aws_iam"] | None)
    ] = None
    tls: Tls | None = None
    signature: Signature | None = None
    max_connections: Annotated[int, Field(ge=1)] | None = None
    max_response_bytes: Annotated[int, Field(ge=1)] = 6 * 1024 * 1024
    refused_statuses: frozenset[Annotated[int, Field(ge=400, le=599)]] = frozenset({429, 503})
    allow_redirects: bool = False

    @field_validator("url")
    @classmethod
    def _reachable(cls, text: str) -> str:
        return usable_url(text, "auth, where it stays")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        return usable_headers(headers, _OURS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("auth and a header Authorization exclude each other")
        if self.tls is not None and URL(self.url).scheme != "https":
            raise ValueError("tls needs an https:// url")
        if self.allow_redirects and self.auth is not None and self.auth.aws_iam is not None:
            raise ValueError(
                "allow_redirects and auth: aws_iam exclude each other: a signature is for one address"
            )
        return self

    def caller(self, defaults: Mapping[str, Any]) -> AwsOptions | None:
        """In whose name calls are signed, None if they are not; a function URL says its region itself."""
        if self.auth is None or self.auth.aws_iam is None:
            return None
        own = self.auth.aws_iam
        there = _FUNCTION_URL.search(URL(self.url).host or "")
        aws = own.over(defaults)
        return aws if own.region or there is None else aws.model_copy(update={"region": there["region"]})
