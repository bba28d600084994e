"""The Lambda target on the wire: what is sent, signed as botocore signs it, and what is asked before the start."""

import base64
import io
import json
import sys
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from functions.http_servers import RawServer, Request, Wire, free_port, raw_server
from yarl import URL

from esm.clients.aws import AwsOptions
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.plugins import TargetContext
from esm.targets.lambda_ import LambdaOptions, LambdaTarget, open_lambda
from esm.targets.lambda_.target import remarks
from servers import REGION, Server

CALL = Invocation(b'{"Records":[]}', "orders", "batch-7", 3, "ab" * 32)
ARN = f"arn:aws:lambda:{REGION}:123456789012:function:billing"
CONTEXT = TargetContext("t", {"region": REGION})


# Prints other credentials each time, which end so soon that botocore wants new ones for the next call.
EXPIRING = """
import datetime, json, pathlib, sys
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=30)
print(json.dumps({"Version": 1, "AccessKeyId": f"key-{number}", "SecretAccessKey": "s", "SessionToken": "t",
                  "Expiration": end.isoformat()}))
"""


def answer(status: str = "200 OK", body: bytes = b"null", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def target(url: str, name: str = ARN, **options: Any) -> AbstractAsyncContextManager[LambdaTarget]:
    endpoint = url.removesuffix("/invoke")
    chosen = LambdaOptions(function_name=name, aws=AwsOptions(endpoint_url=endpoint), **{"timeout": 10, **options})
    return open_lambda(chosen, CONTEXT)


@asynccontextmanager
async def asked(sent: bytes, **options: Any) -> AsyncIterator[tuple[Reply, RawServer]]:
    async def behave(wire: Wire) -> None:
        await wire.request()
        await wire.send(sent)

    async with raw_server(behave) as server, target(server.url, **options) as opened:
        yield await opened.invoke(CALL), server


async def test_one_synchronous_invoke_is_sent() -> None:
    async with asked(answer(X_Amz_Executed_Version="3")) as (reply, server):
        assert reply == Returned(b"null", {"executed_version": "3", "status_code": "200"})
    (request,) = server.requests
    name = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Abilling"
    assert request.head == f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1"
    assert request.body == CALL.payload
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-amz-invocation-type"] == "RequestResponse"
    assert request.headers["x-amz-log-type"] == "Tail"


@pytest.mark.parametrize(
    ("name", "qualifier", "path"),
    [
        ("billing", None, "billing/invocations"),
        ("billing:live", None, "billing/invocations?Qualifier=live"),
        ("billing", "$LATEST", "billing/invocations?Qualifier=%24LATEST"),
        (
            "123456789012:function:billing:7",
            None,
            "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Abilling/invocations?Qualifier=7",
        ),
    ],
)
async def test_a_function_is_addressed_by_name_or_arn_and_qualifier(
    name: str, qualifier: str | None, path: str
) -> None:
    async with asked(answer(), name=name, qualifier=qualifier) as (_, server):
        assert server.requests[0].head == f"POST /2015-03-31/functions/{path} HTTP/1.1"


async def test_the_log_can_be_left_out() -> None:
    async with asked(answer(), log_tail=False) as (_, server):
        assert "x-amz-log-type" not in server.requests[0].headers


@pytest.mark.parametrize("token", [None, "to/ken+=="])
async def test_the_signature_is_botocores(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    async with asked(answer(), name="billing:$LATEST") as (_, server):
        (request,) = server.requests
        assert request.headers["authorization"] == botocores(server.url, request, token)
        assert request.headers.get("x-amz-security-token") == token


def botocores(url: str, request: Request, token: str | None) -> str:
    """What botocore puts into Authorization for the same request at the same second."""
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    sent = {name: request.headers[name] for name in names if name not in {"host", "x-amz-security-token"}}
    theirs = AWSRequest("POST", url.removesuffix("/invoke") + request.head.split()[1], sent, request.body)
    theirs.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("test", "test", token), "lambda", REGION)
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    text = signer.string_to_sign(theirs, signer.canonical_request(theirs))
    signed = ";".join(names)
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(theirs)}, SignedHeaders={signed}, "
        f"Signature={signer.signature(text, theirs)}"
    )


async def test_a_log_of_4_kib_fits_into_a_header() -> None:
    log = base64.b64encode(b"x" * 4096).decode()
    error = b'{"errorType":"E","errorMessage":"m"}'
    async with asked(answer(body=error, X_Amz_Function_Error="Unhandled", X_Amz_Log_Result=log)) as (reply, _):
        assert isinstance(reply, Errored)
        assert reply.meta["log_tail"] == "x" * 4096


async def test_what_breaks_off_after_it_was_sent_counts() -> None:
    async with asked(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[") as (reply, _):
        assert isinstance(reply, Errored)
        assert reply.outcome is Outcome.FUNCTION_ERROR


async def test_a_late_answer_is_a_timeout() -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.wait_for_close()

    async with raw_server(silent) as server, target(server.url, timeout=0.2) as opened:
        reply = await opened.invoke(CALL)
    assert reply == Errored(Outcome.TIMEOUT, "no complete answer within 0.2 s")


async def test_credentials_are_asked_for_anew_with_each_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A role's credentials end: whoever asks botocore each time gets the next ones (here they end at once)."""
    program = tmp_path / "credentials.py"
    program.write_text(EXPIRING)
    config = tmp_path / "config"
    config.write_text(f"[profile short]\ncredential_process = {sys.executable} {program} {tmp_path}/number\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    async def always(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(answer())

    async with raw_server(always) as server:
        options = LambdaOptions(
            function_name="f",
            aws=AwsOptions(endpoint_url=server.url.removesuffix("/invoke"), profile="short"),
        )
        async with open_lambda(options, CONTEXT) as opened:
            for _ in range(2):
                assert await opened.invoke(CALL) == Returned(b"null", {"status_code": "200"})
        keys = [key_of(request) for request in server.requests]
    assert len(set(keys)) == 2


def key_of(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


async def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with asked(answer()) as (reply, server):
        assert isinstance(reply, Refused)
        assert reply.outcome is Outcome.MISCONFIGURED
        assert "no AWS credentials were found: set AWS_ACCESS_KEY_ID" in reply.message
        assert not server.requests


@pytest.mark.parametrize(
    ("aws", "says"), [({"profile": "nope"}, "no profile 'nope'"), ({"region": None}, "no region")]
)
async def test_who_cannot_be_anybody_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch, aws: Mapping[str, Any], says: str
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    options = LambdaOptions(function_name="f", aws=AwsOptions(**aws))
    with pytest.raises(ValueError, match=says):
        async with open_lambda(options, TargetContext("t", {})):
            pass


@pytest.fixture(scope="module")
def functions(ministack: Server) -> Iterator[Any]:
    client = boto3.session.Session().client("lambda", region_name=REGION, endpoint_url=ministack.endpoint_url)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("app.py", "def handler(event, context):\n    return event\n")
    client.create_function(
        FunctionName="checked",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=60,
    )
    yield client
    client.close()


async def checked(server: Server, name: str, timeout: float = 60) -> list[tuple[bool, str]]:
    async with target(server.endpoint_url, name, timeout=timeout) as opened:
        return [(finding.broken, finding.text) for finding in await opened.check()]


async def test_a_check_finds_nothing_to_remark(ministack: Server, functions: Any) -> None:
    functions.get_waiter("function_active_v2").wait(FunctionName="checked")
    assert await checked(ministack, "checked") == []


async def test_a_check_finds_a_missing_function_and_a_missing_alias(ministack: Server, functions: Any) -> None:
    for name in ("never-made", "checked:never-made"):
        ((broken, text),) = await checked(ministack, name)
        assert broken
        assert text.startswith("ResourceNotFoundException: Function not found: ")


async def test_a_check_warns_of_a_function_that_outlasts_the_target(ministack: Server, functions: Any) -> None:
    functions.get_waiter("function_active_v2").wait(FunctionName="checked")
    ((broken, text),) = await checked(ministack, "checked", timeout=30)
    assert not broken
    assert text.startswith("checked may take 60 s and is waited for only 30 s")


async def test_the_emulators_throttle_is_neutral(ministack: Server, functions: Any) -> None:
    functions.put_function_concurrency(FunctionName="checked", ReservedConcurrentExecutions=0)
    try:
        async with target(ministack.endpoint_url, "checked") as opened:
            reply = await opened.invoke(CALL)
    finally:
        functions.delete_function_concurrency(FunctionName="checked")
    assert isinstance(reply, Refused)
    assert reply.outcome is Outcome.THROTTLED
    assert "ReservedFunctionConcurrentInvocationLimitExceeded" in reply.message
    assert reply.retry_after == 1.0


async def test_a_role_is_assumed_for_one_target(ministack: Server, functions: Any) -> None:
    role = AwsOptions(
        endpoint_url=ministack.endpoint_url, role_arn="arn:aws:iam::000000000000:role/invoke-billing"
    )
    async with open_lambda(LambdaOptions(function_name="checked", aws=role), CONTEXT) as opened:
        reply = await opened.invoke(CALL)
        assert isinstance(reply, Returned)
        assert json.loads(reply.payload) == {"Records": []}


async def test_a_check_says_when_nobody_answers_or_somebody_else() -> None:
    async with target(f"http://127.0.0.1:{free_port()}") as opened:
        ((unreached),) = await opened.check()
    assert unreached.broken
    assert "cannot connect" in unreached.text

    async def stranger(wire: Wire) -> None:
        await wire.request()
        await wire.send(answer(body=json.dumps("hello").encode()))

    async with raw_server(stranger) as server, target(server.url.replace("//", "//someone:hidden@")) as opened:
        ((found),) = await opened.check()
    assert found.broken
    assert found.text == f"what answers at 127.0.0.1:{URL(server.url).port} is not Lambda"


async def test_a_role_that_may_only_invoke_passes_the_check() -> None:
    async def least(wire: Wire) -> None:
        while request := await wire.request():
            denied = {"Message": "not authorized to perform: lambda:GetFunctionConfiguration"}
            refusal = answer(
                "403 Forbidden", json.dumps(denied).encode(), x_amzn_ErrorType="AccessDeniedException"
            )
            await wire.send(
                answer("204 No Content", b"") if "x-amz-invocation-type" in request.headers else refusal
            )

    async with raw_server(least) as server, target(server.url) as opened:
        assert await opened.check() == []
    assert server.requests[0].headers["x-amz-invocation-type"] == "DryRun"


def test_a_state_that_is_not_active_is_remarked() -> None:
    facts = {"Timeout": 3, "State": "Inactive", "StateReason": "The function is idle"}
    assert remarks(LambdaOptions(function_name="f"), facts) == ["f is in the state Inactive: The function is idle"]
