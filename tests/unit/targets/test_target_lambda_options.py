"""How a Lambda function is named: in one line, in options, and as it stands in a pasted template."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from esm.config import Catalog, Loaded, load
from esm.targets.lambda_ import PLUGIN, LambdaOptions
from esm.targets.lambda_.options import Function

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:billing"


@pytest.mark.parametrize(
    ("line", "function"),
    [
        ("lambda:billing", Function("billing", None, None, None)),
        ("lambda:billing:live", Function("billing", "live", None, None)),
        ("lambda:billing:$LATEST", Function("billing", "$LATEST", None, None)),
        ("123456789012:function:billing", Function("billing", None, "123456789012", None)),
        ("123456789012:function:billing:7", Function("billing", "7", "123456789012", None)),
        (ARN, Function("billing", None, "123456789012", "eu-west-1")),
        (f"{ARN}:live", Function("billing", "live", "123456789012", "eu-west-1")),
        (
            ARN.replace("aws:", "aws-us-gov:").replace("eu-west-1", "us-gov-west-1"),
            Function("billing", None, "123456789012", "us-gov-west-1"),
        ),
    ],
)
def test_a_function_in_one_line(line: str, function: Function) -> None:
    options = PLUGIN.parse(line)
    assert options is not None
    assert LambdaOptions(**options).function == function


@pytest.mark.parametrize(
    "line", ["http://lambda/", "billing", "python:lambda:handler", "arn:aws:sqs:eu-west-1:123456789012:q", ""]
)
def test_what_names_no_lambda_function_is_left_to_others(line: str) -> None:
    assert PLUGIN.parse(line) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "bil ling",
        "billing:",
        "billing:li ve",
        "billing:live:more",
        "function:billing:live",
        "12345:function:billing",
        ARN.replace("123456789012", "1234"),
        ARN.replace("function", "layer"),
        ARN.replace("eu-west-1", ""),
        "arn:aws:lambda:eu-west-1:billing",
        "bïlling",
    ],
)
def test_what_is_no_function(name: str) -> None:
    with pytest.raises(ValidationError, match="is no function: write its name, ACCOUNT:function:NAME or arn:aws"):
        LambdaOptions(function_name=name)


def test_a_qualifier_is_written_once() -> None:
    assert LambdaOptions(function_name="billing", qualifier="live").function.qualifier == "live"
    with pytest.raises(ValidationError, match="write it once"):
        LambdaOptions(function_name="billing:live", qualifier="live")


@pytest.mark.parametrize(
    ("options", "defaults", "region"),
    [
        ({"function_name": ARN}, {"region": "us-east-1"}, "eu-west-1"),
        ({"function_name": ARN, "aws": {"region": "us-east-1"}}, {}, "eu-west-1"),
        ({"function_name": "billing"}, {"region": "us-east-1"}, "us-east-1"),
        ({"function_name": "billing", "aws": {"region": "eu-north-1"}}, {"region": "us-east-1"}, "eu-north-1"),
    ],
)
def test_an_arn_says_the_region(options: dict[str, Any], defaults: dict[str, str], region: str) -> None:
    assert LambdaOptions(**options).reach(defaults).region == region


def test_the_address_is_the_arn_where_the_account_is_known() -> None:
    assert Function("billing", "live", None, None).address("eu-west-1") == "billing"
    assert Function("billing", "live", "123456789012", None).address("eu-west-1") == ARN
    china = Function("billing", None, "123456789012", "cn-north-1").address("eu-west-1")
    assert china == "arn:aws-cn:lambda:cn-north-1:123456789012:function:billing"


def pasted(tmp_path: Path, mapping: str, targets: str = "") -> Loaded:
    path = tmp_path / "esm.yaml"
    source = "arn:aws:sqs:eu-west-1:123456789012:orders"
    path.write_text(f"{targets}\nmappings:\n  m: {{EventSourceArn: {source}, {mapping}}}\n")
    return load(path, catalog=Catalog.installed())


def test_a_template_is_pasted_with_the_arn_of_its_function(tmp_path: Path) -> None:
    config = pasted(tmp_path, f"FunctionName: '{ARN}:live'").config
    target = config.targets[config.mappings["m"].target]
    assert (target.plugin, target.options.function_name) == (PLUGIN, f"{ARN}:live")


def test_a_target_of_the_functions_name_stands_in_for_it(tmp_path: Path) -> None:
    config = pasted(tmp_path, f"FunctionName: {ARN}", "targets: {billing: 'http://billing.internal/'}").config
    assert config.mappings["m"].target == "billing"
    assert list(config.targets) == ["billing"]
