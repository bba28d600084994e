"""What is said about a queue whose own settings will hurt its mapping."""

from typing import Any

import pytest
from msgspec import structs

from esm.sources.sqs.queue import QueueFacts
from esm.sources.sqs.remarks import remarks

SOUND = QueueFacts("arn", visibility=180, retention=345_600, max_receives=3, in_flight_limit=120_000)


def said(*, timeout: float = 30.0, held: int = 1_000, **changed: Any) -> str:
    """The one remark."""
    (text,) = remarks(structs.replace(SOUND, **changed), timeout=timeout, held=held)
    return text


@pytest.mark.parametrize(
    ("changed", "timeout", "held"),
    [({}, 180.0, 120_000), ({"visibility": 30.0}, 30.0, 1), ({"in_flight_limit": 20_000}, 1.0, 20_000)],
)
def test_nothing_is_said_of_a_sound_queue(changed: dict[str, Any], timeout: float, held: int) -> None:
    assert remarks(structs.replace(SOUND, **changed), timeout=timeout, held=held) == []


def test_a_message_that_always_fails_needs_a_way_out() -> None:
    assert "until it is 4 days old" in said(max_receives=None)


def test_a_visibility_below_the_timeout() -> None:
    assert "is 29.9 s, shorter than the target's timeout of 30 s" in said(visibility=29.9)


def test_a_visibility_of_zero_is_worse_than_a_short_one() -> None:
    assert "visibility timeout of 0" in said(visibility=0.0)


def test_more_in_flight_than_the_queue_allows() -> None:
    assert "is 20,001, and arn lets 20,000 messages" in said(in_flight_limit=20_000, held=20_001)
