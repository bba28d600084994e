"""What a record costs inside a lane, between the page it was read with and the payload it leaves in.

    python -m benchmarks.lane_core

No server, no loop: pages go into a ledger, batches are taken, rendered and finished, the mark moves. The smallest
of many rounds, in microseconds of CPU for each record of 1 KiB, by the number of keys.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from esm.checkpoint import Checkpoint
from esm.core.batching import BatchRule, room_for
from esm.core.log.judging import RetryRule
from esm.core.log.ledger import LaneRule, Ledger
from esm.core.log.parts import Owner
from esm.model import LogPage, Record
from esm.sources.kinesis.event import KinesisCodec

PAGE, PAGES, ROUNDS, BATCH = 2000, 20, 7, 1000
FACTOR = 10
CODEC = KinesisCodec()


def pages(keys: int) -> list[LogPage]:
    """Keys come in turn; with 0 all records have one of their own."""
    event = b"x" * 1900
    records = [
        Record(seq, str(seq), f"key-{seq % keys}" if keys else f"key-{seq}", 0.0, 0.0, event, None, seq)
        for seq in range(PAGE * PAGES)
    ]
    return [LogPage(tuple(records[at : at + PAGE]), upto=at + PAGE - 1) for at in range(0, len(records), PAGE)]


def work_off(read: Sequence[LogPage], factor: int) -> None:
    """As many batches are under way as may be; they end in the order in which they began."""
    rule = LaneRule(BatchRule(BATCH, room_for(CODEC.frame), 0.0), factor, RetryRule())
    ledger = Ledger(Checkpoint(), rule)
    under_way: list[Owner] = []
    for page in read:
        ledger.admit(page, 0.0)
        while ledger.buffer.ready or (under_way and len(ledger.buffer) >= PAGE):
            if ledger.buffer.ready and len(under_way) < factor:
                owner = ledger.take(factor - len(under_way))
                CODEC.render(owner.first.records)
                under_way.append(owner)
            else:
                end(ledger, under_way.pop(0))
    while under_way or ledger.buffer.ready:
        if ledger.buffer.ready:
            under_way.append(ledger.take(1))
            CODEC.render(under_way[-1].first.records)
        end(ledger, under_way.pop(0))
    assert not ledger.past_mark


def end(ledger: Ledger, owner: Owner) -> None:
    ledger.finished(owner, owner.first.records)


def cost(keys: int, factor: int) -> float:
    """Microseconds of CPU for each record, in the best round."""
    read, spent = pages(keys), []
    for _ in range(ROUNDS):
        began = time.process_time()
        work_off(read, factor)
        spent.append(time.process_time() - began)
    return min(spent) / (PAGE * PAGES) * 1e6


def main() -> None:
    print(f"factor 1                 {cost(20, 1):5.2f} µs per record")
    for keys in (20, 1000, 10_000, 0):
        print(
            f"factor {FACTOR}, {f'{keys:,}' if keys else 'no two'} keys {cost(keys, FACTOR):10.2f} µs per record"
        )


if __name__ == "__main__":
    main()
