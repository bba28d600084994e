"""A broker of Apache Kafka that wants to know whom it speaks to: one listener for each way to show oneself.

Who `alice` is may do everything, and so may the client with our certificate and whoever comes over the open
listener, which is there for the tests' own hands; `bob` is known, but may do nothing.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from .authority import Authority
from .install import run_tool
from .issuer import AUDIENCE, ISSUER, Issuer
from .kafka import KAFKA, alone, broker
from .process import Server, free_port
from .recipe import Command, Place, Recipe

PASSWORDS = {"alice": "alice-secret", "bob": "bob-secret"}

_PROTOCOLS = {
    "PLAINTEXT": "PLAINTEXT",
    "SASL": "SASL_PLAINTEXT",
    "SASLTLS": "SASL_SSL",
    "TLS": "SSL",
    "MTLS": "SSL",
    "OAUTH": "SASL_PLAINTEXT",
    "OIDC": "SASL_SSL",
    "BEHIND": "PLAINTEXT",
}
_ALLOWED = "org.apache.kafka.sasl.oauthbearer.allowed.urls"
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")


def _logins(keys: str) -> dict[str, str]:
    """`keys`: where those are that tokens are signed with."""
    modules = "org.apache.kafka.common.security"
    users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
    bearer = f"{modules}.oauthbearer.OAuthBearerLoginModule required"
    oidc = "listener.name.oidc.oauthbearer"
    logins = {"plain": f"{modules}.plain.PlainLoginModule required {users};"}
    logins |= {kind.lower(): f"{modules}.scram.ScramLoginModule required;" for kind in _SCRAM}
    by_password = {
        f"listener.name.{listener}.{mechanism}.sasl.jaas.config": login
        for listener in ("sasl", "sasltls")
        for mechanism, login in logins.items()
    }
    mechanisms = ",".join((*_SCRAM, "PLAIN"))
    return {
        **by_password,
        "sasl.enabled.mechanisms": f"{mechanisms},OAUTHBEARER",
        "listener.name.sasl.sasl.enabled.mechanisms": mechanisms,
        "listener.name.sasltls.sasl.enabled.mechanisms": mechanisms,
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": f'{bearer} unsecuredLoginStringClaim_sub="broker";',
        "listener.name.sasltls.scram-sha-512.connections.max.reauth.ms": "2000",
        "listener.name.oidc.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{oidc}.sasl.jaas.config": f"{bearer};",
        f"{oidc}.sasl.server.callback.handler.class": f"{modules}.oauthbearer.OAuthBearerValidatorCallbackHandler",
        f"{oidc}.connections.max.reauth.ms": "3600000",  # or when the token expires, whichever is first
        "listener.name.oidc.sasl.oauthbearer.jwks.endpoint.url": keys,
        "listener.name.oidc.sasl.oauthbearer.expected.audience": AUDIENCE,
        "listener.name.oidc.sasl.oauthbearer.expected.issuer": ISSUER,
    }


def unsecured_token(principal: str, expires_at: float) -> str:
    """A token without a signature, as the listener `OAUTH` takes it; `expires_at` in seconds since 1970."""
    claims = {"sub": principal, "iat": expires_at - 3600, "exp": expires_at}
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims)
    )
    return b".".join((*parts, b"")).decode()


class SecuredKafka:
    """The broker with its certificates, and what a client of each listener has to say."""

    def __init__(self, home: Path, work: Path) -> None:
        """Raises Unavailable when there is no openssl."""
        run_tool("openssl", "version", cwd=work)
        self._ports = {name: free_port() for name in _PROTOCOLS if name != "PLAINTEXT"}
        self.gate_port = free_port()
        """Whoever asks the listener `BEHIND` for the brokers is sent there: see `IamGate`."""
        self.authority = Authority(work / "tls")
        for name in ("broker", "client"):
            self.authority.sign(name)
        both = (Path(self.authority[f"broker.{kind}"]).read_text() for kind in ("key", "pem"))
        Path(self.authority["broker.both"]).write_text("".join(both))
        self.issuer = Issuer(work / "oidc")
        self.server = Server(self._recipe(), home, work)

    def options(self, listener: str, **settings: Any) -> dict[str, Any]:
        """Settings of a client of that listener; but for `PLAINTEXT` and `TLS` it still has to say who it is."""
        trust = {"ssl.ca.location": self.authority["ca.pem"]} if "SSL" in _PROTOCOLS[listener] else {}
        address = {"bootstrap.servers": f"127.0.0.1:{self._ports[listener]}"}
        return {**address, "security.protocol": _PROTOCOLS[listener], **trust, **settings}

    @property
    def ways(self) -> Mapping[str, Mapping[str, Any]]:
        """By name, the settings of a client that is let in."""
        password = {"sasl.username": "alice", "sasl.password": PASSWORDS["alice"]}
        certificate = {
            "ssl.certificate.location": self.authority["client.pem"],
            "ssl.key.location": self.authority["client.key"],
        }
        token = {
            "sasl.mechanism": "OAUTHBEARER",
            "enable.sasl.oauthbearer.unsecure.jwt": True,
            "sasl.oauthbearer.config": "principal=alice",
        }
        sasl = {
            f"{listener} {mechanism}": self.options(listener, **{"sasl.mechanism": mechanism, **password})
            for listener in ("SASL", "SASLTLS")
            for mechanism in ("PLAIN", *_SCRAM)
        }
        return {
            "PLAINTEXT": self.options("PLAINTEXT"),
            "TLS": self.options("TLS"),
            "MTLS": self.options("MTLS", **certificate),
            "OAUTH": self.options("OAUTH", **token),
            **sasl,
        }

    def set_password(self, user: str, password: str) -> None:
        """Of both kinds of SCRAM, from the next connection on. What PLAIN takes never changes."""
        admin = AdminClient({**self.options("PLAINTEXT"), "log_level": 0})
        for kind in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            change = UserScramCredentialUpsertion(user, ScramCredentialInfo(kind, 4096), password.encode())
            for future in admin.alter_user_scram_credentials([change]).values():
                future.result(10)

    def _recipe(self) -> Recipe:
        scram = [f"{kind}=[name={user},password={word}]" for kind in _SCRAM for user, word in PASSWORDS.items()]

        def command(place: Place) -> Command:
            self._ports["PLAINTEXT"] = place.port
            settings = {**alone(place.port, free_port()), **self._settings()}
            return broker(place, settings, scram, [f"-D{_ALLOWED}={self.issuer.keys}"])

        return replace(KAFKA, name="kafka_secured", command=command)

    def _settings(self) -> dict[str, str]:
        controller = free_port()
        addresses = [f"{name}://127.0.0.1:{self._ports[name]}" for name in _PROTOCOLS]
        protocols = {"CONTROLLER": "PLAINTEXT", **_PROTOCOLS}
        return {
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": ",".join((*addresses, f"CONTROLLER://127.0.0.1:{controller}")),
            "advertised.listeners": ",".join((*addresses[:-1], f"BEHIND://127.0.0.1:{self.gate_port}")),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            **_logins(self.issuer.keys),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.authority["broker.both"],
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority["ca.pem"],
            "listener.name.mtls.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:alice;User:CN=client",
            "allow.everyone.if.no.acl.found": "false",
        }
