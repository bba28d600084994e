"""A program that writes rows of lanes to a SQLite store as fast as it can, and says of each write when it is safe.

`python swapping.py STATE LANES` prints `LANE COUNTER` after each swap that was acknowledged, and counts each lane
on from what it finds. A store that fails is said too, `failed: TEXT`, and the write is tried again.
"""

import asyncio
import sys
from pathlib import Path

from esm.checkpoint import LaneRow
from esm.errors import StoreFailed
from esm.ports import LaneStore
from esm.stores import open_sqlite
from esm.testing.store_suite import after, row


async def write(store: LaneStore, last: LaneRow | None, lane: str) -> None:
    while True:
        new = row(lane, at=0) if last is None else after(last, last.counter + 1)
        try:
            if not await store.swap(last, new):
                print(f"refused {lane} {new.counter}", flush=True)
                return
        except StoreFailed as error:
            print(f"failed: {error}", flush=True)
            await asyncio.sleep(0.05)
            continue
        last = new
        print(f"{lane} {new.counter}", flush=True)


async def main(path: Path, lanes: int) -> None:
    async with open_sqlite(path) as store, asyncio.TaskGroup() as group:
        found = {one.lane: one for one in await store.view(row().scope)}
        print("open", flush=True)
        for n in range(lanes):
            group.create_task(write(store, found.get(f"lane-{n}"), f"lane-{n}"))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
