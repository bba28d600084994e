"""What `validate --connect` makes of the answers it gets, and of those it does not get."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from esm.cli.app import app
from esm.cli.connect import ask_all
from esm.model import Finding
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan
from esm.stores import SqliteCheck
from esm.stores.lock import sole_user


class Source:
    def __init__(self, *findings: Finding, wait: bool = False) -> None:
        self._findings = findings
        self._wait = wait

    async def check(self) -> Sequence[Finding]:
        if self._wait:
            await asyncio.Event().wait()
        return self._findings


async def ask(**sources: Any) -> dict[str, Any]:
    mappings = {
        name: QueuePlan(name, "id", True, source, "target", QueueOptions()) for name, source in sources.items()
    }
    answers = await ask_all(EnginePlan(mappings, {}, 0), patience=0.2)
    return {answer.place.split(".")[1]: answer for answer in answers}


async def test_one_that_never_answers_does_not_hold_up_the_others() -> None:
    answers = await ask(stuck=Source(wait=True), fine=Source())
    assert answers["stuck"].problems == ["does not answer within 0.2 s"]
    assert answers["fine"].problems == []


async def test_findings_are_told_apart() -> None:
    answers = await ask(orders=Source(Finding(broken=True, text="gone"), Finding(broken=False, text="odd")))
    assert (answers["orders"].problems, answers["orders"].warnings) == (["gone"], ["odd"])


async def test_what_cannot_be_asked_is_no_problem() -> None:
    answer = (await ask(orders=object()))["orders"]
    assert (answer.asked, answer.problems) == (False, ())


# Destinations and the state


STREAM = """state: {{url: "sqlite://{folder}/state.db"}}
targets:
  fn: {{type: http, url: "http://127.0.0.1:{port}/"}}
mappings:
  orders:
    source: arn:aws:kinesis:eu-west-1:123456789012:stream/orders
    target: fn
    starting_position: LATEST
    DestinationConfig:
      OnFailure:
        Destination: "file://{folder}/missing/failed.jsonl"
        fallback:
          - "file://{folder}/failed.jsonl"
          - "http://127.0.0.1:9/"
    maximum_retry_attempts: 3
"""


def validated(tmp_path: Path, text: str) -> tuple[int, list[str], list[str]]:
    path = tmp_path / "esm.yaml"
    path.write_text(text)
    ended = CliRunner().invoke(app, ["validate", "-c", str(path), "--connect"])
    return ended.exit_code, ended.stdout.splitlines(), ended.stderr.splitlines()


@pytest.fixture
def stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A configuration whose stream is well."""

    async def check(_: object) -> Sequence[Finding]:
        return ()

    monkeypatch.setattr("esm.sources.kinesis.source.KinesisSource.check", check)
    with socket.create_server(("127.0.0.1", 0)) as there:
        yield STREAM.format(folder=tmp_path, port=there.getsockname()[1])


def test_destinations_are_asked_and_named_with_their_line(tmp_path: Path, stream: str) -> None:
    code, said, complained = validated(tmp_path, stream)
    on_failure = "mappings.orders.destination_config.on_failure"
    assert code == 2
    missing, refused = complained
    assert missing == (
        f"{tmp_path}/esm.yaml:11: {on_failure}.destination: {tmp_path}/missing/failed.jsonl: No such file or"
        " directory: make the directory, or mount what belongs there; esm does not make it"
    )
    assert refused.startswith(
        f"{tmp_path}/esm.yaml:14: {on_failure}.fallback.1: cannot connect to http://127.0.0.1:9: "
    )
    assert refused.endswith(": start what takes the notices, or correct the URL")
    assert f"{on_failure}.fallback.0: answers" in said
    assert "state.url: answers" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["esm.yaml"]


def test_a_state_that_cannot_be_kept_is_named_with_its_line(tmp_path: Path, stream: str) -> None:
    state = tmp_path / "nowhere" / "state.db"
    code, _, complained = validated(tmp_path, stream.replace(f"{tmp_path}/state.db", str(state)))
    assert code == 2
    assert complained[-1] == (
        f"{tmp_path}/esm.yaml:1: state.url: {state}: there is no directory {state.parent}: make it, or mount what"
        " belongs there; esm does not make it"
    )


async def test_a_state_that_an_engine_has_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sole_user(path):
        (finding,) = await SqliteCheck(path).check()
    assert (finding.broken, "is in use by another process (pid " in finding.text) == (False, True)
    assert list(await SqliteCheck(path).check()) == []
    assert not path.exists()


async def test_a_file_that_is_no_state_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("something else, and long enough to be looked at " * 50)
    (finding,) = await SqliteCheck(path).check()
    assert finding.broken
    assert "it is no state file" in finding.text
    path.write_text("")
    assert list(await SqliteCheck(path).check()) == []


def test_a_state_that_nobody_needs_is_not_asked(tmp_path: Path) -> None:
    _, said, complained = validated(
        tmp_path, f"state: {{url: 'sqlite://{tmp_path}/nowhere/state.db'}}\nmappings: {{}}\n"
    )
    assert not [line for line in [*said, *complained] if "state.url" in line]
