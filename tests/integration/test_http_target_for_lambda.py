"""The HTTP target on what Lambda offers over HTTP: function URLs that ask who calls, and the emulator (RIE)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from functions.http_servers import RawServer, Wire, raw_server

from esm.clients.sigv4 import Request, sign
from esm.config import Catalog, load
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.plugins import TargetContext
from esm.targets.http import HttpOptions, open_http

CALL = Invocation(b'{"Records":[]}', "orders", "batch-7", 3, "ab" * 32)
FUNCTION_URL = "https://abc123.lambda-url.eu-central-1.on.aws/"


@asynccontextmanager
async def asked(
    sent: bytes = b"null", status: str = "200 OK", **options: Any
) -> AsyncIterator[tuple[Reply, RawServer]]:
    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(f"HTTP/1.1 {status}\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)

    async with raw_server(behave) as server:
        path = options.pop("path", "/invoke")
        chosen = HttpOptions(url=server.url.removesuffix("/invoke") + path, **options)
        async with open_http(chosen, TargetContext("t", {})) as opened:
            yield await opened.invoke(CALL), server


async def test_a_call_of_a_function_url_is_signed_for_lambda() -> None:
    auth = {"aws_iam": {"region": "eu-central-1"}}
    async with asked(path="/a%20b?c=d", auth=auth, headers={"X-Team": "billing"}) as (reply, server):
        assert reply == Returned(b"null")
    (request,) = server.requests
    assert request.head == "POST /a%20b?c=d HTTP/1.1"
    assert request.headers["x-team"] == "billing"
    ours = {name: value for name, value in request.headers.items() if name.startswith(("x-esm", "idempotency"))}
    expected = sign(
        Request(request.headers["host"], CALL.payload, path="/a%20b", query="c=d", headers=ours),
        Key(),
        "eu-central-1",
        "lambda",
        at(request.headers["x-amz-date"]),
    )
    assert len(ours) == 4
    assert request.headers["authorization"] == expected["Authorization"]


class Key:
    access_key = "test"
    secret_key = "test"
    token = None


def at(date: str) -> float:
    from datetime import UTC, datetime

    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("403 Forbidden", Outcome.MISCONFIGURED),
        ("429 Too Many Requests", Outcome.THROTTLED),
        ("502 Bad Gateway", Outcome.FUNCTION_ERROR),
    ],
)
async def test_what_a_function_url_answers_means_what_http_means(status: str, outcome: Outcome) -> None:
    async with asked(status=status, auth="aws_iam") as (reply, _):
        assert not isinstance(reply, Returned)
        assert reply.outcome is outcome


async def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with asked(auth="aws_iam") as (reply, server):
        assert isinstance(reply, Refused)
        assert reply.outcome is Outcome.MISCONFIGURED
        assert "no AWS credentials were found: set AWS_ACCESS_KEY_ID" in reply.message
        assert not server.requests


def test_a_function_url_says_its_region_itself() -> None:
    def region(url: str, auth: Any, **defaults: str) -> str | None:
        caller = HttpOptions(url=url, auth=auth).caller(defaults)
        assert caller is not None
        return caller.region

    assert region(FUNCTION_URL, "aws_iam", region="us-east-1") == "eu-central-1"
    assert region(FUNCTION_URL, {"aws_iam": {"region": "eu-west-1"}}) == "eu-west-1"
    assert region("https://functions.internal/", "aws_iam", region="us-east-1") == "us-east-1"
    assert HttpOptions(url=FUNCTION_URL).caller({}) is None


@pytest.mark.parametrize("auth", ["auth: aws_iam", "auth: {aws_iam: {profile: billing}}"])
def test_both_spellings_stand_in_a_file(tmp_path: Any, auth: str) -> None:
    path = tmp_path / "esm.yaml"
    path.write_text(
        "mappings:\n  m:\n    source: arn:aws:sqs:eu-west-1:123456789012:q\n"
        f"    target: {{type: http, url: '{FUNCTION_URL}', {auth}}}\n"
    )
    target = load(path, catalog=Catalog.installed()).config.targets["m/target"]
    assert target.options.auth.aws_iam is not None


def test_a_signature_is_for_one_address() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        HttpOptions.model_validate({"url": FUNCTION_URL, "auth": "aws_iam", "allow_redirects": True})


async def test_the_emulator_is_called_at_its_path_and_its_errors_are_understood() -> None:
    error = json.dumps({"errorMessage": "no id", "errorType": "KeyError", "requestId": "1"}).encode()
    async with asked(error, path="", protocol="rie") as (reply, server):
        assert reply == Errored(Outcome.FUNCTION_ERROR, "KeyError: no id")
    assert server.requests[0].head == "POST /2015-03-31/functions/function/invocations HTTP/1.1"
    async with asked(error) as (reply, _):
        assert reply == Returned(error)  # as plain HTTP has it
    async with asked(b'{"batchItemFailures": []}', path="", protocol="rie") as (reply, _):
        assert reply == Returned(b'{"batchItemFailures": []}')
