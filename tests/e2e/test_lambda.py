"""The daemon with Lambda functions: what they fail is dead-lettered, what throttles them costs nothing."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from servers import REGION, Server

from .harness import daemon, mapping, until, write_config
from .queue_account import Oracle

FUNCTION = """
def handler(event, context):
    bodies = {record["messageId"]: record["body"] for record in event["Records"]}
    if "raise" in bodies.values():
        print("about to raise")
        raise KeyError("no such order")
    return {"batchItemFailures": [{"itemIdentifier": each} for each in bodies if bodies[each] == "report"]}
"""


@pytest.fixture(scope="module")
def functions(ministack: Server) -> Iterator[Any]:
    client = boto3.session.Session().client("lambda", region_name=REGION, endpoint_url=ministack.endpoint_url)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("app.py", FUNCTION)
    client.create_function(
        FunctionName="orders",
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
    )
    yield client
    client.close()


@pytest.fixture
def oracle(new_oracle: Callable[..., Oracle], ministack: Server) -> Oracle:
    return new_oracle(ministack, visibility=4, max_receives=2)


@pytest.fixture
def config(tmp_path: Path, ministack: Server, oracle: Oracle, functions: Any) -> Path:
    orders = mapping(
        oracle.queue, "lambda:orders", batch_size=1, function_response_types=["ReportBatchItemFailures"]
    )
    return write_config(tmp_path / "esm.yaml", ministack.endpoint_url, {"orders": orders})


def test_what_a_lambda_function_fails_is_dead_lettered_and_explained(config: Path, oracle: Oracle) -> None:
    oracle.send([*(f"order-{number}" for number in range(20)), "report"])
    with daemon(config) as running:
        oracle.drained()
        oracle.send(["raise"])
        until(lambda: "no such order" in running.status("orders")["last_error"]["text"], "the error")
        error = running.status("orders")["last_error"]
        oracle.drained()
    assert sorted(oracle.dead()) == ["raise", "report"]
    assert error["function_error"] == "Unhandled"
    assert "about to raise" in error["log_tail"]


def test_a_throttle_of_lambda_costs_no_receive(config: Path, oracle: Oracle, functions: Any) -> None:
    """Two receives would be used up long before the sixth refusal."""
    functions.put_function_concurrency(FunctionName="orders", ReservedConcurrentExecutions=0)
    oracle.send(["order-1", "order-2"])
    with daemon(config) as running:
        until(lambda: running.status("orders")["counts"]["invocations"]["throttled"] >= 6, "six refusals")
        assert (
            "ReservedFunctionConcurrentInvocationLimitExceeded" in running.status("orders")["last_error"]["text"]
        )
        functions.delete_function_concurrency(FunctionName="orders")
        oracle.drained()
    assert oracle.dead() == []
