"""`esm iam-policy`: the least that each mapping needs, and nothing that it does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]
from typer.testing import CliRunner

import esm.sources.sqs
from esm.cli.app import app
from esm.sources.sqs import SqsOptions
from esm.sources.sqs.permissions import permissions

RUNNER = CliRunner()
ORDERS = "arn:aws:sqs:eu-west-1:123456789012:orders"
ROLE = "arn:aws:iam::210987654321:role/caller"
READING = [
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
]


def printed(tmp_path: Path, mappings: str, *arguments: str, code: int = 0) -> tuple[Any, str]:
    path = tmp_path / "esm.yaml"
    path.write_text(f"aws: {{region: eu-west-1}}\nmappings:\n{mappings}\n")
    ended = RUNNER.invoke(app, ["iam-policy", "--config", str(path), *arguments])
    assert ended.exit_code == code, ended.stderr
    return json.loads(ended.stdout) if code == 0 else ended.stdout, ended.stderr


def mapping(target: str, source: str = ORDERS, name: str = "m") -> str:
    return f"  {name}: {{source: {source}, target: {target}}}"


def allow(actions: list[str], resource: str, **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def statements(tmp_path: Path, target: str, source: str = ORDERS) -> tuple[list[Any], str]:
    policy, said = printed(tmp_path, mapping(target, source), "--mapping", "m")
    assert policy["Version"] == "2012-10-17"
    return policy["Statement"], said


def test_a_queue_and_a_function_of_ones_own_need_the_queue_only(tmp_path: Path) -> None:
    assert statements(tmp_path, "http://billing.internal/") == ([allow(READING, ORDERS)], "")


def test_a_queue_by_url_is_not_looked_up(tmp_path: Path) -> None:
    url = "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders.fifo"
    found, said = statements(tmp_path, "http://billing.internal/", url)
    actions = [action for action in READING if action != "sqs:GetQueueUrl"]
    assert found == [allow(actions, "arn:aws-cn:sqs:cn-north-1:123456789012:orders.fifo")]
    assert said == ""


STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
READING_A_STREAM = [
    "kinesis:DescribeStreamSummary",
    "kinesis:GetRecords",
    "kinesis:GetShardIterator",
    "kinesis:ListShards",
]


@pytest.mark.parametrize(
    ("destination", "actions", "resource"),
    [
        (f"{ORDERS}", ["sqs:GetQueueUrl", "sqs:SendMessage"], ORDERS),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", ["sqs:SendMessage"], ORDERS),
        ("arn:aws:sns:eu-west-1:123456789012:t", ["sns:Publish"], "arn:aws:sns:eu-west-1:123456789012:t"),
        ("s3://failed", ["s3:PutObject"], "arn:aws:s3:::failed/aws/lambda/*"),
        (
            "arn:aws:events:eu-west-1:123456789012:event-bus/b",
            ["events:PutEvents"],
            "arn:aws:events:eu-west-1:123456789012:event-bus/b",
        ),
    ],
)
def test_a_stream_and_its_destinations(
    tmp_path: Path, destination: str, actions: list[str], resource: str
) -> None:
    fallback = f"{{type: lambda, arn: '{LAMBDA}:123456789012:function:f', aws: {{role_arn: '{ROLE}'}}}}"
    to = f"destination_config: {{on_failure: {{destination: '{destination}', fallback: [{fallback}]}}}}"
    own = f"  m: {{source: '{STREAM}', target: 'http://f/', starting_position: LATEST, {to}}}"
    policies, said = printed(tmp_path, own)
    assert said == ""
    assert policies["m"]["Statement"] == [
        allow(READING_A_STREAM, STREAM),
        allow(actions, resource),
        allow(["sts:AssumeRole"], ROLE),
    ]
    function = f"{LAMBDA}:123456789012:function:f"
    assert policies[f"m as {ROLE}"]["Statement"] == [allow(["lambda:InvokeFunction"], function)]


LAMBDA = "arn:aws:lambda:eu-west-1"


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        (f"{LAMBDA}:123456789012:function:billing", f"{LAMBDA}:123456789012:function:billing"),
        (f"{LAMBDA}:123456789012:function:billing:live", f"{LAMBDA}:123456789012:function:billing:live"),
        ("123456789012:function:billing", f"{LAMBDA}:123456789012:function:billing"),
        (
            "{type: lambda, function_name: billing, qualifier: $LATEST}",
            f"{LAMBDA}:*:function:billing:$LATEST",
        ),
    ],
)
def test_a_lambda_function_and_the_qualifier_that_is_called(tmp_path: Path, target: str, resource: str) -> None:
    found, said = statements(tmp_path, target)
    assert found[1:] == [allow(["lambda:InvokeFunction"], resource)]
    assert said == (
        f"warning: mappings.m: the configuration does not say all of {resource}: write it instead of each *\n"
        if "*" in resource
        else ""
    )


def test_a_function_url_needs_both_actions_and_only_by_url(tmp_path: Path) -> None:
    found, said = statements(
        tmp_path, "{type: http, url: 'https://abc.lambda-url.eu-central-1.on.aws/', auth: aws_iam}"
    )
    function = "arn:aws:lambda:eu-central-1:*:function:*"
    assert found[1:] == [
        allow(["lambda:InvokeFunctionUrl"], function, StringEquals={"lambda:FunctionUrlAuthType": "AWS_IAM"}),
        allow(["lambda:InvokeFunction"], function, Bool={"lambda:InvokedViaFunctionUrl": "true"}),
    ]
    assert function in said


AS_ROLE = f"{{type: lambda, function_name: billing, aws: {{role_arn: '{ROLE}'}}}}"


def test_a_role_has_a_policy_of_its_own_and_is_assumed(tmp_path: Path) -> None:
    found, said = statements(tmp_path, AS_ROLE)
    assert found == [allow(READING, ORDERS), allow(["sts:AssumeRole"], ROLE)]
    assert said == f"note: this role needs a policy of its own: --mapping m --role {ROLE}\n"
    policy, _ = printed(tmp_path, mapping(AS_ROLE), "--mapping", "m", "--role", ROLE)
    assert policy["Statement"] == [allow(["lambda:InvokeFunction"], f"{LAMBDA}:210987654321:function:billing")]


def test_all_mappings_come_with_their_names_and_roles(tmp_path: Path) -> None:
    other = mapping("http://h/", ORDERS.replace("orders", "other"), "n")
    policies, _ = printed(tmp_path, f"{mapping(AS_ROLE)}\n{other}")
    assert list(policies) == ["m", f"m as {ROLE}", "n"]
    assert policies["n"]["Statement"][0]["Resource"] == ORDERS.replace("orders", "other")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mapping", "x"], "there is no mapping x: there are m"),
        (["--mapping", "m", "--role", ROLE], f"m assumes no role {ROLE}: it assumes none"),
        (["--role", ROLE], "--role needs --mapping"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, arguments: list[str], says: str) -> None:
    assert printed(tmp_path, mapping("http://h/"), *arguments, code=2) == ("", f"{says}\n")


def test_a_wrong_configuration_gives_no_policy(tmp_path: Path) -> None:
    out, said = printed(tmp_path, "  m: {target: http://h/}", code=2)
    assert out == ""
    assert "mappings.m.source: is required" in said


def test_a_queue_elsewhere_has_no_account() -> None:
    (needed,) = permissions(SqsOptions(queue_url="http://127.0.0.1:9324/queue/orders"), {})
    assert needed.resource == "arn:aws:sqs:*:*:orders"


def test_the_actions_are_those_of_the_calls_that_are_made() -> None:
    """Each operation of SQS that the source's code names, and no other."""
    folder = Path(esm.sources.sqs.__file__).parent
    code = "\n".join(path.read_text() for path in folder.glob("*.py") if path.name != "permissions.py")
    operations = Session().get_service_model("sqs").operation_names
    called = {name for name in operations if f'"{name}"' in code or f".{xform_name(name)}(" in code}
    assert {f"sqs:{name.removesuffix('Batch')}" for name in called} == set(READING)
