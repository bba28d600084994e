"""The sample function keeps the contract that it is a sample of."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).parents[2] / "deploy" / "function" / "app.py"


@pytest.fixture(scope="module")
def app() -> Any:
    spec = importlib.util.spec_from_file_location("app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(queue: str, *messages: tuple[str, str]) -> dict[str, Any]:
    """Messages as (body, group), with their place as their id."""
    return {
        "Records": [
            {
                "messageId": str(place),
                "body": body,
                "attributes": {"MessageGroupId": group},
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:000000000000:{queue}",
            }
            for place, (body, group) in enumerate(messages)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_nothing_failed(app: Any) -> None:
    assert app.handle(event("orders", ("one", "a"), ("two", "a"))) == {"batchItemFailures": []}


def test_only_the_poison_fails_where_there_is_no_order(app: Any) -> None:
    assert failed(app.handle(event("orders", ("one", "a"), ("poison", "a"), ("two", "a")))) == ["1"]


def test_nothing_overtakes_a_failure_in_its_group(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    process = app.process

    def noted(record: dict[str, Any]) -> None:
        process(record)
        done.append(record["body"])

    monkeypatch.setattr(app, "process", noted)
    messages = (("a1", "a"), ("poison", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b"))
    assert failed(app.handle(event("payments.fifo", *messages))) == ["1", "3"]
    assert done == ["a1", "b1", "b2"]
