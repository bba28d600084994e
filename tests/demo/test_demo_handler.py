"""The function of the demonstration, and its journal."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esm.demo import handler
from esm.demo.journal import FOLDER_VARIABLE, entries, note
from esm.demo.workload import Message, Nature, removal


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(handler, "_WORK", 0.0)
    return tmp_path


def record(message: Message, receives: int = 1) -> dict[str, Any]:
    return {
        "eventSource": "aws:sqs",
        "messageId": f"id-{message.id}",
        "body": message.body,
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


def click(message: Message) -> dict[str, Any]:
    data = {"sequenceNumber": f"at-{message.id}", "data": b64encode(message.body.encode()).decode()}
    return {"eventSource": "aws:kinesis", "kinesis": data}


def change(message: Message, event: str = "MODIFY") -> dict[str, Any]:
    new = {"change": {"S": message.id}, "nature": {"S": message.nature}}
    data = {"Keys": {"id": {"S": message.group}}, "SequenceNumber": f"at-{message.id}"}
    images = {"OldImage": new} if event == "REMOVE" else {"NewImage": new}
    return {"eventSource": "aws:dynamodb", "eventName": event, "dynamodb": {**data, **images}}


def parcel(message: Message, offset: int = 0) -> dict[str, Any]:
    value = b64encode(message.body.encode()).decode()
    return {"topic": "parcels", "partition": 2, "offset": offset, "value": value}


def test_of_a_topic_it_lists_what_failed_and_what_is_behind_it_in_its_key(journal: Path) -> None:
    sent = [
        Message("a1", "a", 1, Nature.FLAKY),
        Message("b1", "b", 1, Nature.GOOD),
        Message("a2", "a", 2, Nature.GOOD),
        Message("c1", "c", 1, Nature.POISON),
    ]
    records = [parcel(message, number) for number, message in enumerate(sent)]
    event = {"eventSource": "SelfManagedKafka", "records": {"parcels-2": records}}
    failed = [{"itemIdentifier": {"partition": "parcels-2", "offset": offset}} for offset in (0, 2, 3)]
    assert handler.handle(event, None) == {"batchItemFailures": failed}
    again = {**event, "records": {"parcels-2": [records[0], *records[2:]]}}
    assert handler.handle(again, None) == {"batchItemFailures": failed[2:]}
    noted = [(entry.id, entry.done) for entry in entries(journal)]
    assert noted == [("a1", False), ("b1", True), ("c1", False), ("a1", True), ("a2", True), ("c1", False)]


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


@pytest.mark.parametrize("as_record", [click, change])
def test_in_a_stream_it_stops_at_the_first_failure(
    journal: Path, as_record: Callable[[Message], dict[str, Any]]
) -> None:
    first, flaky, poison = (Message(nature, "k", 1, nature) for nature in Nature)
    batch = [as_record(message) for message in (first, flaky, poison)]
    assert called(*batch) == ["at-flaky"]
    assert called(*batch[1:]) == ["at-poison"]
    noted = [(entry.id, entry.done) for entry in entries(journal)]
    assert noted == [("good", True), ("flaky", False), ("flaky", True), ("poison", False)]


def test_a_removal_is_a_message_of_its_own_and_succeeds(journal: Path) -> None:
    last = Message("last", "item", 1, Nature.POISON)
    assert called(change(last, "REMOVE")) == []
    assert [(entry.id, entry.done) for entry in entries(journal)] == [(removal("item"), True)]


def test_journals_of_several_processes_are_merged_by_time(journal: Path) -> None:
    note("second", done=True)
    (journal / "0.jsonl").write_text(json.dumps({"at": 1, "id": "first", "done": False}) + "\n")
    assert [entry.id for entry in entries(journal)] == ["first", "second"]
