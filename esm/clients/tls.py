"""TLS from files, with mistakes in them told plainly, and a knock at a server's door."""

import asyncio
import ssl
from contextlib import suppress

from yarl import URL

_LATE_REFUSAL = 0.5


def tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Trusts `ca` instead of the system's authorities; presents `certificate` with its `key`. PEM files.

    Raises ValueError when a file cannot be read or does not hold what it should.
    """
    context = _trusting(ca)
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except OSError as error:
            raise ValueError(
                f"tls: certificate {certificate!r} with key {key or certificate!r}: {error}"
            ) from None
    return context


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ValueError(f"tls.ca: {ca!r}: {error}") from None


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal."""
    raise ValueError("tls.key is encrypted: give a key without a passphrase")


async def knock(host: str, port: int, tls: ssl.SSLContext | bool) -> None:  # noqa: FBT001 - as asyncio has it
    """Connects, handshake included, sends nothing, and hangs up.

    With TLS 1.3 a server refuses a client's certificate when the client believes the handshake to be over, so
    this listens for a moment. Raises SSLError if the handshake fails, OSError if nobody can be reached.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=tls or None)
    try:
        if tls:
            await _listen(reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def why_unreachable(url: URL, tls: ssl.SSLContext | None, timeout: float) -> str:
    """Why nobody can be called at a URL within `timeout` seconds, empty if somebody can; as `knock`."""
    try:
        async with asyncio.timeout(timeout):
            await knock(url.host or "", url.port or 0, tls or url.scheme == "https")
    except (OSError, TimeoutError) as error:
        return f"cannot connect to {url.origin()}: {error or 'timeout'}"
    return ""


async def _listen(reader: asyncio.StreamReader) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LATE_REFUSAL):
            try:
                said = await reader.read(1)
            except ConnectionError:
                said = b""
            if not said:
                raise ssl.SSLError("the server hangs up as soon as the handshake is over")
