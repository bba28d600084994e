"""AWS's `SourceAccessConfigurations`: who we are, kept in AWS Secrets Manager, as settings of the client library.

https://docs.aws.amazon.com/lambda/latest/dg/kafka-cluster-auth.html has what each kind of secret holds. They are
read whenever the group is joined, and again while the engine runs (`sources.kafka.renewal`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from esm.clients.aws import AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from esm.options import Options
from esm.plugins import Permission

_ARN = re.compile(r"arn:aws(-[a-z]+)*:secretsmanager:")
_MECHANISMS = {
    "BASIC_AUTH": "PLAIN",
    "SASL_SCRAM_256_AUTH": "SCRAM-SHA-256",
    "SASL_SCRAM_512_AUTH": "SCRAM-SHA-512",
}
_FIELDS = {
    **dict.fromkeys(_MECHANISMS, ("username", "password")),
    "CLIENT_CERTIFICATE_TLS_AUTH": ("certificate", "privateKey"),
    "SERVER_ROOT_CA_CERTIFICATE": ("certificate",),
    "OAUTHBEARER_AUTH": ("oauthTokenEndpointUrl", "oauthClientId", "oauthClientSecret"),
}
"""What the secret of a kind has to hold."""

_LITERAL = {"OAUTHBEARER_SCOPE", "OAUTHBEARER_LOGICAL_CLUSTER", "OAUTHBEARER_IDENTITY_POOL"}

Kind = Literal[
    "BASIC_AUTH",
    "SASL_SCRAM_256_AUTH",
    "SASL_SCRAM_512_AUTH",
    "CLIENT_CERTIFICATE_TLS_AUTH",
    "SERVER_ROOT_CA_CERTIFICATE",
    "OAUTHBEARER_AUTH",
    "OAUTHBEARER_SCOPE",
    "OAUTHBEARER_LOGICAL_CLUSTER",
    "OAUTHBEARER_IDENTITY_POOL",
]


class AccessEntry(Options):
    """One of them: the ARN of a secret, or for three of them a text of its own."""

    type: Kind
    uri: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _is_secret(self) -> Self:
        if self.type not in _LITERAL and not _ARN.match(self.uri):
            raise ValueError(
                f"{self.type} needs the ARN of a secret as its URI; what you have yourself goes into sasl"
            )
        return self


def to_read(entries: Sequence[AccessEntry], role: str | None) -> Sequence[Permission]:
    """What has to be allowed for `settings_of`, to `role` if there is one."""
    secrets = [entry.uri for entry in entries if entry.type not in _LITERAL]
    return [Permission(("secretsmanager:GetSecretValue",), arn, role) for arn in secrets]


async def settings_of(entries: Sequence[AccessEntry], aws: AwsOptions, lease: Lease) -> dict[str, Any]:
    """Always with TLS, as on AWS. Raises `Disconnected`."""
    found: dict[str, Any] = {}
    texts: dict[str, str] = {entry.type: entry.uri for entry in entries if entry.type in _LITERAL}
    for entry in entries:
        if entry.type not in _LITERAL:
            found |= _settings(entry, await _secret(entry, aws, lease), texts)
    protocol = "SASL_SSL" if "sasl.mechanisms" in found else "SSL"
    return {"security.protocol": protocol, **{name: value for name, value in found.items() if value}}


async def _secret(entry: AccessEntry, aws: AwsOptions, lease: Lease) -> Mapping[str, str]:
    there = aws.model_copy(update={"region": entry.uri.split(":")[3]})
    with translated("Secrets Manager"):
        async with lease("secretsmanager", there) as client:
            answer = await client.cold.get_secret_value(SecretId=entry.uri)
    try:
        secret = json.loads(answer.get("SecretString") or "")
    except ValueError:
        secret = None
    if not isinstance(secret, dict):
        raise _unfit(entry, "is no JSON object")
    for field in _FIELDS[entry.type]:
        if not isinstance(secret.get(field), str):
            raise _unfit(entry, f"has no {field}")
    return secret


def _unfit(entry: AccessEntry, how: str) -> Disconnected:
    """What it holds instead is not for everybody's eyes."""
    wanted = " and ".join(_FIELDS[entry.type])
    return Disconnected(
        "Authentication", f"the secret {entry.uri} {how}: {entry.type} needs one with {wanted}", lasting=True
    )


def _settings(entry: AccessEntry, secret: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, Any]:
    if entry.type in _MECHANISMS:
        return {
            "sasl.mechanisms": _MECHANISMS[entry.type],
            "sasl.username": secret["username"],
            "sasl.password": secret["password"],
        }
    if entry.type == "CLIENT_CERTIFICATE_TLS_AUTH":
        return {
            "ssl.certificate.pem": secret["certificate"],
            "ssl.key.pem": secret["privateKey"],
            "ssl.key.password": secret.get("privateKeyPassword"),
        }
    if entry.type == "SERVER_ROOT_CA_CERTIFICATE":
        return {"ssl.ca.pem": secret["certificate"]}
    return _oauth(secret, texts)


def _oauth(secret: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    extensions = {
        "logicalCluster": texts.get("OAUTHBEARER_LOGICAL_CLUSTER"),
        "identityPoolId": texts.get("OAUTHBEARER_IDENTITY_POOL"),
    }
    return {
        "sasl.mechanisms": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": secret["oauthTokenEndpointUrl"],
        "sasl.oauthbearer.client.id": secret["oauthClientId"],
        "sasl.oauthbearer.client.secret": secret["oauthClientSecret"],
        "sasl.oauthbearer.scope": texts.get("OAUTHBEARER_SCOPE"),
        "sasl.oauthbearer.extensions": ",".join(f"{name}={text}" for name, text in extensions.items() if text),
    }
