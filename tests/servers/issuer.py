"""Who gives out signed tokens by OIDC's client credentials: keys in a file, and an endpoint while it is open."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from .authority import OPENSSL

AUDIENCE = "kafka"
ISSUER = "https://issuer.invalid"
CLIENT = ("esm", "esm-client-secret")


class Issuer:
    """A key pair in a folder; `keys` is the URL of a file with the public one (JWKS)."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self._key = str(place / "key.pem")
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self._key)
        modulus = _openssl("rsa", "-in", self._key, "-noout", "-modulus").decode().strip().partition("=")[2]
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": "k",
            "n": _text(bytes.fromhex(modulus)),
            "e": "AQAB",
        }
        (place / "jwks.json").write_text(json.dumps({"keys": [key]}))
        self.keys = (place / "jwks.json").as_uri()

    def token(self, principal: str, seconds: float, audience: str = AUDIENCE) -> str:
        """Good for so many seconds, of which whole ones count."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": principal, "aud": audience, "iat": now, "exp": now + int(seconds)}
        parts = ({"alg": "RS256", "kid": "k"}, claims)
        signed = ".".join(_text(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_text(_openssl('dgst', '-sha256', '-sign', self._key, given=signed.encode()))}"


@dataclass
class Endpoint:
    """Gives a token of `make` to the one client that it knows, and notes what each was asked with."""

    make: Callable[[], str]
    url: str = ""
    given: list[Mapping[str, str]] = field(default_factory=list)

    def answer(self, authorization: str, form: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        known = "Basic " + base64.b64encode(":".join(CLIENT).encode()).decode()
        if authorization != known or form.get("grant_type") != "client_credentials":
            return 401, {"error": "invalid_client", "error_description": "who is this?"}
        self.given.append(form)
        return 200, {"access_token": self.make(), "token_type": "Bearer", "expires_in": 3600}


@contextmanager
def token_endpoint(make: Callable[[], str]) -> Iterator[Endpoint]:
    """Listens while this is open."""
    endpoint = Endpoint(make)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, answer = endpoint.answer(self.headers.get("Authorization", ""), form)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/token"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _openssl(*arguments: str, given: bytes | None = None) -> bytes:
    return subprocess.run(
        [str(OPENSSL), *arguments], input=given, check=True, capture_output=True, timeout=30
    ).stdout


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
