"""The command line as a person meets it."""

import ast
import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esm import __file__ as package
from esm import __version__
from esm.cli.app import app

RUNNER = CliRunner()


def esm(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "esm", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environ})


def processor_seconds() -> float:
    """Of all commands that have ended: unlike the clock it does not count who else is at work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_version_comes_fast_and_without_the_heavy_libraries() -> None:
    took = []
    for _ in range(3):
        began = processor_seconds()
        ended = esm("--version")
        took.append(processor_seconds() - began)
        assert ended.stdout == f"esm {__version__}\n"
    assert min(took) < 0.5
    code = (
        "import sys, esm.cli.app; print(sorted({'aiobotocore', 'aiohttp', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


COMMANDS = ("run", "validate", "iam-policy", "filter", "schema", "demo", "status")
STATE = tuple(f"state {command}" for command in ("list", "show", "seek", "skip", "export", "import"))


@pytest.mark.parametrize("command", [*COMMANDS, *STATE])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    ended = RUNNER.invoke(app, [*command.split(), "-h"])
    assert ended.exit_code == 0
    assert f"esm {command}" in ended.output.replace("Usage: ", "").split("Example:")[1]


def test_help_names_all_commands() -> None:
    output = RUNNER.invoke(app, ["--help"]).output
    for word in (*COMMANDS, "state", "--version", "--install-completion"):
        assert word in output
    output = RUNNER.invoke(app, ["state", "--help"]).output
    for command in STATE:
        assert command.split()[1] in output


def test_a_slip_in_a_command_is_helped() -> None:
    ended = esm("validat")
    assert ended.returncode == 2
    assert "Did you mean 'validate'?" in ended.stderr


@pytest.mark.parametrize("command", ["run", "validate", "iam-policy"])
def test_a_forgotten_config_is_named(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESM_CONFIG", raising=False)
    ended = RUNNER.invoke(app, [command])
    assert ended.exit_code == 2
    assert f"esm {command} needs --config FILE_OR_DIR" in ended.stderr
    (tmp_path / "esm.yaml").touch()
    assert f"esm {command} --config esm.yaml" in RUNNER.invoke(app, [command]).stderr


@pytest.mark.parametrize("command", ["run", "validate", "iam-policy"])
def test_an_empty_config_is_not_the_current_directory(command: str) -> None:
    ended = RUNNER.invoke(app, [command, "--config", ""])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("--config is empty")


def test_a_handler_without_its_scheme_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    source = "arn:aws:sqs:eu-west-1:123456789012:orders"
    path.write_text(f"mappings: {{m: {{source: '{source}', target: 'orders.app:handler'}}}}\n")
    ended = RUNNER.invoke(app, ["validate", "--config", str(path)])
    assert "did you mean `python:orders.app:handler`?" in ended.stderr


def test_a_port_that_is_taken_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path.write_text(f"mappings: {{}}\nserver: {{listen: '{address}'}}\n")
        ended = RUNNER.invoke(app, ["run", "--config", str(path)])
    assert ended.exit_code == 2
    said = f"server.listen: {address} is in use: change server.listen (port 0 takes a free one)"
    assert ended.stderr.splitlines() == [said]


def test_positions_that_cannot_be_kept_are_exit_code_2_with_the_way_out(tmp_path: Path) -> None:
    path, missing = tmp_path / "esm.yaml", tmp_path / "nowhere" / "state.db"
    source = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
    mapping = f"{{source: '{source}', target: 'http://f:8080/', starting_position: LATEST}}"
    path.write_text(
        f"mappings: {{m: {mapping}}}\nstate: {{url: 'sqlite://{missing}'}}\nserver: {{listen: '127.0.0.1:0'}}\n"
    )
    ended = RUNNER.invoke(app, ["run", "--config", str(path)])
    assert ended.exit_code == 2
    (said,) = ended.stderr.splitlines()
    assert said.startswith(
        f"state.url: {missing}.lock cannot be made: No such file or directory: make the directory"
    )


def test_nothing_is_raised_where_old_pythons_would_put_it_into_a_group() -> None:
    """3.11.0 to 3.11.3, Debian 12's among them, wrap even a single exception that leaves an `except*`."""
    trees = [ast.parse(path.read_text()) for path in Path(package).parent.rglob("*.py")]
    tries = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.TryStar)]
    assert tries
    raised = [
        node.lineno
        for each in tries
        for handler in each.handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise)
    ]
    assert not raised


@pytest.mark.parametrize("command", ["run", "validate", "iam-policy"])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "No such file"),
        ("directory", "no configuration here"),
        ("", "is empty"),
        ("mappings: [", ":1"),
        ("mappings:\n  orders: {target: x}\n", "mappings.orders.source"),
        ("a: 1\na: 2\nmappings: {}\n", ":2: a"),
        ("mapings: {}\n", "did you mean `mappings`?"),
    ],
    ids=["missing", "empty directory", "empty file", "broken YAML", "no source", "twice", "unknown key"],
)
def test_a_bad_configuration_is_exit_code_2_with_lines_on_standard_error(
    command: str, made: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "given.yaml"
    if made == "directory":
        path.mkdir()
    elif made is not None:
        path.write_text(made)
    ended = RUNNER.invoke(app, [command, "--config", str(path)])
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert said in ended.stderr
    assert all(line.startswith(str(path)) for line in ended.stderr.splitlines())


def test_the_schema_is_json() -> None:
    schema = json.loads(RUNNER.invoke(app, ["schema"]).stdout)
    assert "mappings" in schema["properties"]


def test_settings_of_streams_that_will_hurt_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    source = "    source: arn:aws:kinesis:eu-west-1:123456789012:stream/orders\n"
    text = f"mappings:\n  m:\n{source}    target: http://f:8080/\n    starting_position: LATEST\n"
    path.write_text(text)
    ended = RUNNER.invoke(app, ["validate", "-c", str(path)])
    assert (ended.exit_code, ended.stdout) == (0, f"{path}: valid, 1 mapping and 1 target\n")
    forgetful, endless = ended.stderr.splitlines()
    assert forgetful == (
        f"warning: {path}:1: state.url: positions of streams end with the process: write"
        " sqlite:///var/lib/esm/state.db"
    )
    assert endless.startswith(f"warning: {path}:2: mappings.m: a record that always fails holds up its shard")
    path.write_text(f"{text}    maximum_retry_attempts: 3\nstate: {{url: 'sqlite:///var/lib/esm/state.db'}}\n")
    assert RUNNER.invoke(app, ["validate", "-c", str(path)]).stderr == ""


def test_a_topic_without_a_limit_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    options = "    source: kafka://b:1/orders\n    target: http://f:8080/\n    starting_position: LATEST\n"
    path.write_text(f"mappings:\n  m:\n{options}")
    (endless,) = RUNNER.invoke(app, ["validate", "-c", str(path)]).stderr.splitlines()
    assert "a record that always fails holds up its partition until" in endless


def test_a_valid_configuration_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "esm.yaml"
    path.write_text(
        "mappings:\n  orders:\n    source: arn:aws:sqs:eu-west-1:123456789012:orders\n    target: http://127.0.0.1:1/\n"
    )
    ended = RUNNER.invoke(app, ["validate", "-c", str(path)])
    assert (ended.exit_code, ended.stdout) == (0, f"{path}: valid, 1 mapping and 1 target\n")
    assert RUNNER.invoke(app, ["validate"], env={"ESM_CONFIG": str(path)}).exit_code == 0
