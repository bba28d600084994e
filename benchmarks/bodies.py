"""What the messages of a benchmark say: a number, when they were sent, and padding up to a fixed size.

The send time is of the monotonic clock, which all processes of one machine share, so the target can tell
how old a message is without asking anyone.
"""

from __future__ import annotations


def body(number: int, sent_at: float, size: int) -> str:
    """A JSON object of exactly `size` bytes (more only if they do not suffice); `sent_at` in seconds."""
    start = f'{{"n":{number},"sent":{sent_at:.6f},"pad":"'
    return start + "x" * (size - len(start) - 2) + '"}'
