"""The Lambda target keeps the contract of the port, against an emulator that runs real Python functions."""

import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from functions.http_servers import free_port

from esm.clients.aws import AwsOptions
from esm.plugins import TargetContext
from esm.ports import Target
from esm.targets.lambda_ import LambdaOptions, open_lambda
from esm.testing.target_suite import RULES, Rule
from servers import REGION, Server

CONTEXT = TargetContext("billing", {"region": REGION})
OBEDIENT = """
import time

def handler(event, context):
    if event["do"] == "answer":
        return event["answer"]
    if event["do"] == "raise":
        raise RuntimeError(event["text"])
    time.sleep(3600)
"""


@pytest.fixture(scope="module")
def lambda_client(ministack: Server) -> Iterator[Any]:
    client = boto3.session.Session().client("lambda", region_name=REGION, endpoint_url=ministack.endpoint_url)
    yield client
    client.close()


@pytest.fixture(scope="module")
def function(lambda_client: Any) -> str:
    """The emulator ends a call after the function's own second; the harness hangs up before."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("app.py", OBEDIENT)
    made = lambda_client.create_function(
        FunctionName="obedient",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=1,
    )
    return str(made["FunctionArn"])


class InLambda:
    def __init__(self, endpoint: str, function: str) -> None:
        self._aws = AwsOptions(endpoint_url=endpoint)
        self._function = function

    @asynccontextmanager
    async def obedient(self, timeout: float) -> AsyncIterator[Target]:
        options = LambdaOptions(function_name=self._function, timeout=timeout, aws=self._aws)
        async with open_lambda(options, CONTEXT) as target:
            yield target

    def absent(self) -> AbstractAsyncContextManager[Target] | None:
        nobody = AwsOptions(endpoint_url=f"http://127.0.0.1:{free_port()}")
        return open_lambda(LambdaOptions(function_name=self._function, aws=nobody), CONTEXT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
async def test_a_lambda_target_keeps_its_contract(rule: Rule, ministack: Server, function: str) -> None:
    await rule(InLambda(ministack.endpoint_url, function))
