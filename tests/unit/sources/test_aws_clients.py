"""Clients are shared, credentials are refreshed, and nothing but the given endpoint is asked."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from esm.clients.aws import AwsOptions, Clients, lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected

ROLE = "arn:aws:iam::123456789012:role/engine"


@dataclass
class Aws:
    """STS and SQS at one address. No receive is answered before `wanted_at_once` have come."""

    url: str = ""
    expiration: str = "2999-01-01T00:00:00Z"
    assumed: list[str] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)
    wanted_at_once: int = 1
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytes = b'{"Messages":[{"Body":"x","MessageAttributes":{"b":{"BinaryValue":"AAE="}}}]}'

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        signer = re.search(r"Credential=([^/]+)/", request.headers["Authorization"])
        assert signer
        if "Action=AssumeRole" in text:
            self.assumed.append(signer[1])
            return web.Response(text=self._credentials(len(self.assumed)), content_type="text/xml")
        self.signed_by.append(signer[1])
        if len(self.signed_by) >= self.wanted_at_once:
            self.enough.set()
        await self.enough.wait()
        return web.Response(body=self.body, content_type="application/x-amz-json-1.0")

    def _credentials(self, number: int) -> str:
        return (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>ROLE{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{self.expiration}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )


@pytest.fixture
async def aws() -> AsyncIterator[Aws]:
    async with serving(Aws()) as server:
        yield server


@asynccontextmanager
async def serving(server: Aws) -> AsyncIterator[Aws]:
    app = web.Application()
    app.router.add_post("/", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def test_the_same_options_share_a_client_until_the_last_lease_ends() -> None:
    clients = Clients()
    options = AwsOptions(region="us-east-1", endpoint_url="http://127.0.0.1:1")
    async with clients.lease("sqs", options) as first:
        async with clients.lease("sqs", options.model_copy()) as second:
            assert second is first
        async with clients.lease("sqs", options.model_copy(update={"region": "us-east-2"})) as other:
            assert other is not first
        async with clients.lease("sqs", options) as again:
            assert again is first
    async with clients.lease("sqs", options) as fresh:
        assert fresh is not first


async def test_answers_are_taken_as_they_are(aws: Aws) -> None:
    async with lease("sqs", AwsOptions(region="us-east-1", endpoint_url=aws.url)) as sqs:
        answer = await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert answer["Messages"][0]["MessageAttributes"] == {"b": {"BinaryValue": "AAE="}}
    assert aws.signed_by == ["test"]


async def test_half_a_surrogate_pair_does_not_wedge_a_queue(aws: Aws) -> None:
    aws.body = rb'{"Messages":[{"Body":"\ud800"}]}'
    async with lease("sqs", AwsOptions(region="us-east-1", endpoint_url=aws.url)) as sqs:
        answer = await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert answer["Messages"][0]["Body"] == "\ud800"


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b"[]", b"null", b"\xff"])
async def test_an_answer_that_is_no_json_object_is_no_empty_receive(aws: Aws, body: bytes) -> None:
    aws.body = body
    with pytest.raises(Disconnected) as caught, translated("SQS"):
        async with lease("sqs", AwsOptions(region="us-east-1", endpoint_url=aws.url)) as sqs:
            await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert caught.value.code == "BadAnswer"


async def test_as_many_calls_may_be_open_as_are_made(aws: Aws) -> None:
    aws.wanted_at_once = 40
    options = AwsOptions(region="us-east-1", endpoint_url=aws.url)
    async with lease("sqs", options) as sqs, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for _ in range(40):
            tasks.create_task(sqs.hot.call("ReceiveMessage", {"QueueUrl": "q", "WaitTimeSeconds": 20}))
    assert len(aws.signed_by) == 40


async def test_a_role_is_assumed_once_for_all_calls_and_clients(aws: Aws) -> None:
    options = AwsOptions(region="us-east-1", endpoint_url=aws.url, role_arn=ROLE)
    clients = Clients()
    for _ in range(2):
        async with clients.lease("sqs", options) as sqs:
            await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
            await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert aws.assumed == ["test"]
    assert aws.signed_by == ["ROLE1"] * 4


async def test_a_role_is_assumed_again_before_its_credentials_expire(aws: Aws) -> None:
    aws.expiration = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    options = AwsOptions(region="us-east-1", endpoint_url=aws.url, role_arn=ROLE)
    async with Clients().lease("sqs", options) as sqs:
        await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
        aws.expiration = "2999-01-01T00:00:00Z"
        await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
        await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert aws.signed_by[-1] == aws.signed_by[-2] == f"ROLE{len(aws.assumed)}"
    assert len(aws.assumed) >= 2


async def test_credentials_that_have_expired_already_are_a_disconnection(aws: Aws) -> None:
    aws.expiration = "2000-01-01T00:00:00Z"
    options = AwsOptions(region="us-east-1", endpoint_url=aws.url, role_arn=ROLE)
    with pytest.raises(Disconnected), translated("SQS"):
        async with Clients().lease("sqs", options) as sqs:
            await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
    assert aws.signed_by == []


async def test_without_credentials_it_says_so(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    for role in (None, ROLE):
        options = AwsOptions(region="us-east-1", endpoint_url=aws.url, role_arn=role)
        with pytest.raises(Disconnected) as caught, translated("SQS"):
            async with Clients().lease("sqs", options) as sqs:
                await sqs.hot.call("ReceiveMessage", {"QueueUrl": "q"})
        assert (caught.value.code, caught.value.lasting) == ("NoCredentials", True)
    assert aws.assumed == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (AwsOptions(region="us-east-1", profile="nobody"), "NoCredentials"),
        (AwsOptions(endpoint_url=None), "NoRegion"),
    ],
)
async def test_what_is_not_configured_is_told(
    options: AwsOptions, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Disconnected) as caught, translated("SQS"):
        async with Clients().lease("sqs", options):
            pass
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("endpoint", "of_sts"),
    [
        (None, None),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", None),
        ("https://sqs.cn-north-1.amazonaws.com.cn", None),
        ("https://sqs.eu-west-1.api.aws", None),
        ("https://amazonaws.com.internal", "https://amazonaws.com.internal"),
    ],
)
def test_an_endpoint_of_aws_is_not_asked_for_roles(endpoint: str | None, of_sts: str | None) -> None:
    assert AwsOptions(endpoint_url=endpoint).sts.endpoint_url == of_sts
