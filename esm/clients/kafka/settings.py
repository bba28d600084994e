"""From our options to the settings of librdkafka (its CONFIGURATION.md)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from esm.clients.kafka.options import NEEDS_NAME, KafkaTls, Sasl

Tokens = Callable[[str], tuple[str, float]]
"""Gives a token and when it expires, in epoch seconds; called in a thread of the client."""

OURS = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "error_cb",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "isolation.level",
        "metadata.broker.list",
        "oauth_cb",
        "on_commit",
        "partition.assignment.strategy",
        "topic.metadata.refresh.interval.ms",
    }
)
"""What the engine depends on, or has an option of its own for."""

_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")


def identity_settings(tls: KafkaTls | None, sasl: Sasl | None, tokens: Tokens | None) -> dict[str, Any]:
    """Who we are and whom we trust. Raises OSError if the file of a password cannot be read."""
    protocol = ("SASL_" if sasl is not None else "") + ("PLAINTEXT" if tls is None else "SSL")
    if protocol == "SASL_PLAINTEXT" and sasl is not None and sasl.mechanism == "AWS_MSK_IAM":
        protocol = "SASL_SSL"
    return {
        "security.protocol": protocol,
        **_tls(tls or KafkaTls()),
        **({} if sasl is None else _sasl(sasl, tokens)),
    }


def files_of(settings: Mapping[str, Any]) -> dict[str, bytes]:
    """What is in the files that settings of TLS name, by setting. Raises OSError if one cannot be read."""
    return {name: Path(settings[name]).read_bytes() for name in _FILES if name in settings}


def password_of(sasl: Sasl) -> str:
    """From its file, less the newline at its end, or as it was given. Raises OSError."""
    if sasl.password_file is not None:
        return Path(sasl.password_file).read_text().removesuffix("\n").removesuffix("\r")
    return "" if sasl.password is None else sasl.password.get_secret_value()


def _tls(tls: KafkaTls) -> dict[str, Any]:
    password = None if tls.key_password is None else tls.key_password.get_secret_value()
    files = {
        "ssl.ca.location": tls.ca,
        "ssl.certificate.location": tls.certificate,
        "ssl.key.location": tls.key,
        "ssl.key.password": password,
    }
    return {name: value for name, value in files.items() if value is not None}


def _sasl(sasl: Sasl, tokens: Tokens | None) -> dict[str, Any]:
    if sasl.mechanism in NEEDS_NAME:
        return {
            "sasl.mechanisms": sasl.mechanism,
            "sasl.username": sasl.username,
            "sasl.password": password_of(sasl),
        }
    if sasl.mechanism == "AWS_MSK_IAM":
        return {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": tokens}
    return {"sasl.mechanisms": "OAUTHBEARER", "sasl.oauthbearer.method": "oidc", **_oidc(sasl)}


def _oidc(sasl: Sasl) -> Mapping[str, Any]:
    secret = None if sasl.client_secret is None else sasl.client_secret.get_secret_value()
    extensions = ",".join(f"{name}={value}" for name, value in sasl.extensions.items())
    given = {
        "sasl.oauthbearer.client.id": sasl.client_id,
        "sasl.oauthbearer.client.secret": secret,
        "sasl.oauthbearer.token.endpoint.url": sasl.token_endpoint_url,
        "sasl.oauthbearer.scope": sasl.scope,
        "sasl.oauthbearer.extensions": extensions or None,
    }
    return {name: value for name, value in given.items() if value is not None}
