"""Options of a runtime target: which go together, and what is said of those that do not."""

from typing import Any

import pytest
from pydantic import ValidationError

from esm.targets.runtime import PLUGIN, RuntimeOptions

SECRET = "s3cret-s3cret-s3cret"

GOOD: list[dict[str, Any]] = [
    {"command": ["python", "-m", "awslambdaric", "app.handler"], "workers": 4},
    {"listen": "127.0.0.1:9001"},
    {"listen": "127.0.0.1:9001", "command": ["./bootstrap"]},
    {"listen": "localhost:9001"},
    {"listen": "[::1]:9001"},
    {"listen": "127.9.9.9:9001"},
    {"listen": "0.0.0.0:9001", "secret": SECRET},
    {"listen": "[::]:9001", "secret": SECRET},
    {"listen": "engine:9001", "secret": SECRET},
    {"command": ["x"], "environment": {"A": "1"}, "working_directory": "/srv"},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "give command (the engine starts the workers), listen (they attach), or both"),
    ({"listen": "0.0.0.0:9001"}, "can be reached from other machines: set secret (16 characters or more)"),
    ({"listen": "[::]:9001"}, "can be reached from other machines"),
    ({"listen": "10.0.0.1:9001"}, "AWS_LAMBDA_RUNTIME_API=HOST:PORT/SECRET, or listen on 127.0.0.1"),
    ({"listen": "engine:9001"}, "can be reached from other machines"),
    ({"listen": "localhost.example.org:9001"}, "can be reached from other machines"),
    ({"listen": "127.0.0.1"}, "is no address to listen on: write host:port"),
    ({"listen": "127.0.0.1:99999"}, "is no address to listen on: write host:port"),
    ({"listen": "[no]:9001"}, "is no address to listen on: write host:port"),
    ({"listen": "http://127.0.0.1:9001"}, "is no address to listen on: write host:port"),
    ({"listen": "0.0.0.0:9001", "secret": "short"}, "needs at least 16"),
    ({"listen": "0.0.0.0:9001", "secret": "slashes/are/no/part/of/it"}, "needs at least 16"),
    ({"command": ["x"], "secret": SECRET}, "secret needs listen"),
    ({"listen": "127.0.0.1:1", "workers": 2}, "workers needs command"),
    ({"listen": "127.0.0.1:1", "environment": {"A": "1"}}, "environment needs command"),
    ({"command": []}, "write a program and its arguments"),
    ({"command": [""]}, "write a program and its arguments"),
    ({"command": ["x"], "environment": {"A=B": "1"}}, "is no name of a variable"),
    ({"command": ["x"], "environment": {"AWS_LAMBDA_RUNTIME_API": "h:1"}}, "is set by the engine"),
    ({"command": ["x"], "environment": {"A": "\0"}}, "holds a null character"),
    ({"command": ["x"], "function_name": "a b"}, "is no name of a function"),
    ({"command": ["x"], "workers": 0}, "greater than or equal to 1"),
    ({"command": ["x"], "timeout": "16m"}, "less than or equal to 900"),
]


@pytest.mark.parametrize("options", GOOD, ids=str)
def test_these_go_together(options: dict[str, Any]) -> None:
    assert RuntimeOptions.model_validate(options)


@pytest.mark.parametrize(("options", "says"), BAD, ids=[str(options) for options, _ in BAD])
def test_what_is_wrong_is_said_with_its_cure(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RuntimeOptions.model_validate(options)
    assert says in str(caught.value)


def test_secrets_never_print() -> None:
    options = RuntimeOptions.model_validate(
        {"listen": "[::]:9001", "secret": SECRET, "command": ["x"], "environment": {"TOKEN": "t0ken"}}
    )
    assert SECRET not in repr(options)
    assert "t0ken" not in repr(options)
    with pytest.raises(ValidationError) as caught:
        RuntimeOptions.model_validate({"listen": "127.0.0.1:1", "secret": f"{SECRET}/"})
    assert SECRET not in str(caught.value)


def test_an_address_has_no_brackets() -> None:
    assert RuntimeOptions(listen="[::1]:9001").address == ("::1", 9001)
    assert RuntimeOptions(command=("x",)).address is None


def test_no_line_says_enough() -> None:
    assert PLUGIN.parse("runtime:app.handler") is None
