"""The HTTP target over TLS: whom it trusts, how it shows itself, and mistakes in its files."""

import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from functions.http_servers import Wire, raw_server
from test_http_target import CALL, always_ok, outcome, target

from esm.model import Outcome, Refused, Returned
from servers import OPENSSL, Authority

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the openssl command to make certificates")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls") / "ours")
    made.sign("server")
    made.sign("elsewhere", "DNS:elsewhere.example")
    made.sign("client")
    made.encrypt("client")
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls") / "strange")
    made.sign("client")
    return made


def server_side(authority: Authority, version: ssl.TLSVersion, *, asks: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority["server.pem"], authority["server.key"])
    context.maximum_version = version
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority["ca.pem"])
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


@versions
async def test_a_server_of_the_given_authority_is_trusted(authority: Authority, version: ssl.TLSVersion) -> None:
    async with (
        raw_server(always_ok, server_side(authority, version)) as server,
        target(server.url, tls={"ca": authority["ca.pem"]}) as opened,
    ):
        assert await opened.check() == []
        assert [await opened.invoke(CALL) for _ in range(3)] == [Returned(b"null")] * 3
    assert server.connections == 2


async def test_an_unknown_authority_is_unreachable(authority: Authority, stranger: Authority) -> None:
    side = server_side(authority, ssl.TLSVersion.TLSv1_3)
    for tls in (None, {"ca": stranger["ca.pem"]}):
        async with raw_server(always_ok, side) as server, target(server.url, tls=tls) as opened:
            reply = await opened.invoke(CALL)
            assert outcome(reply) is Outcome.UNREACHABLE
            assert isinstance(reply, Refused)
            assert "certificate" in reply.message
            assert [finding.broken for finding in await opened.check()] == [True]
        assert server.requests == []


async def test_a_certificate_for_another_name_is_unreachable(authority: Authority) -> None:
    side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    side.load_cert_chain(authority["elsewhere.pem"], authority["elsewhere.key"])
    async with (
        raw_server(always_ok, side) as server,
        target(server.url, tls={"ca": authority["ca.pem"]}) as opened,
    ):
        assert outcome(await opened.invoke(CALL)) is Outcome.UNREACHABLE
    assert server.requests == []


@versions
async def test_a_client_certificate_is_shown(authority: Authority, version: ssl.TLSVersion) -> None:
    tls = {"ca": authority["ca.pem"], "certificate": authority["client.pem"], "key": authority["client.key"]}
    async with (
        raw_server(always_ok, server_side(authority, version, asks=True)) as server,
        target(server.url, tls=tls) as opened,
    ):
        assert await opened.invoke(CALL) == Returned(b"null")


@versions
@pytest.mark.parametrize("shown", ["none", "a stranger's"])
async def test_a_client_that_is_not_let_in_is_unreachable(
    authority: Authority, stranger: Authority, version: ssl.TLSVersion, shown: str
) -> None:
    """With TLS 1.3 the refusal comes when the client believes the handshake to be over."""
    tls = {"ca": authority["ca.pem"]}
    if shown != "none":
        tls |= {"certificate": stranger["client.pem"], "key": stranger["client.key"]}
    async with (
        raw_server(always_ok, server_side(authority, version, asks=True)) as server,
        target(server.url, tls=tls) as opened,
    ):
        replies = [await opened.invoke(CALL) for _ in range(5)]
    assert [outcome(reply) for reply in replies] == [Outcome.UNREACHABLE] * 5, replies
    assert server.requests == []


def opening(**tls: str) -> AbstractAsyncContextManager[object]:
    return target("https://127.0.0.1:9/", tls=tls)


async def test_mistakes_in_the_files_are_told_when_it_is_opened(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    (tmp_path / "text.pem").write_text("no certificate")
    for tls, named in (
        ({"ca": str(tmp_path / "missing.pem")}, "missing.pem"),
        ({"ca": str(tmp_path)}, str(tmp_path)),
        ({"ca": str(tmp_path / "text.pem")}, "text.pem"),
        ({"ca": str(tmp_path / "empty.pem")}, "empty.pem"),
        ({"certificate": str(tmp_path / "missing.pem")}, "missing.pem"),
        ({"certificate": authority["client.pem"]}, "client.pem"),
        ({"certificate": authority["client.pem"], "key": str(tmp_path / "missing.key")}, "missing.key"),
        ({"certificate": authority["client.pem"], "key": authority["server.key"]}, "server.key"),
        ({"certificate": authority["client.pem"], "key": authority["client.encrypted.key"]}, "passphrase"),
    ):
        with pytest.raises(ValueError, match="tls") as caught:
            async with opening(**tls):
                pass
        assert named in str(caught.value)


async def test_a_crash_over_tls_still_counts(authority: Authority) -> None:
    """The refusal of a certificate must not be mistaken for a record that ends its function, nor the reverse."""

    async def crash(wire: Wire) -> None:
        await wire.request()
        wire.reset()

    side = server_side(authority, ssl.TLSVersion.TLSv1_3)
    async with raw_server(crash, side) as server, target(server.url, tls={"ca": authority["ca.pem"]}) as opened:
        assert outcome(await opened.invoke(CALL)) is Outcome.FUNCTION_ERROR
