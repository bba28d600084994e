"""The function of the demonstration, and its journal."""

import json
from pathlib import Path
from typing import Any

import pytest

from esm.demo import handler
from esm.demo.journal import FOLDER_VARIABLE, entries, note
from esm.demo.workload import Message, Nature


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(handler, "_WORK", 0.0)
    return tmp_path


def record(message: Message, receives: int = 1) -> dict[str, Any]:
    return {
        "messageId": f"id-{message.id}",
        "body": message.body,
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


def called(*records: dict[str, Any]) -> list[str]:
    answer = handler.handle({"Records": list(records)}, None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_it_reports_what_failed_and_notes_all(journal: Path) -> None:
    good, flaky, poison = (Message(nature, None, 1, nature) for nature in Nature)
    assert called(record(good), record(flaky), record(poison, 3)) == ["id-flaky", "id-poison"]
    assert called(record(flaky, 2)) == []
    noted = [(entry.id, entry.done) for entry in entries(journal)]
    assert noted == [("good", True), ("flaky", False), ("poison", False), ("flaky", True)]


def test_in_a_group_nothing_is_worked_off_behind_a_failure(journal: Path) -> None:
    sent = [
        Message("a1", "a", 1, Nature.POISON),
        Message("b1", "b", 1, Nature.GOOD),
        Message("a2", "a", 2, Nature.GOOD),
    ]
    assert called(*map(record, sent)) == ["id-a1"]
    assert [entry.id for entry in entries(journal) if entry.done] == ["b1"]


def test_journals_of_several_processes_are_merged_by_time(journal: Path) -> None:
    note("second", done=True)
    (journal / "0.jsonl").write_text(json.dumps({"at": 1, "id": "first", "done": False}) + "\n")
    assert [entry.id for entry in entries(journal)] == ["first", "second"]
