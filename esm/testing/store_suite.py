"""What every store of lanes must do, to be run against each of them.

A test module makes a harness per store and runs each of `RULES` with it:

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())

Rows are those of a mapping's lanes; nothing here depends on how a store writes them down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec.structs import replace

from esm.checkpoint import Budget, Checkpoint, LaneRow, Span, Start
from esm.errors import StoreFailed
from esm.ports import LaneStore

_SCOPE = "4f6c9f1e-2f3d-5a0b-9d0e-9a0c6f7d2b11"
_LANE = "shardId-000000000001"
_FAR = 49590338271490256608559692538361571095921575989136588898
"""A sequence number of Kinesis, beyond 64 bits."""


class Harness(Protocol):
    """How to get at one kind of store."""

    def store(self) -> AbstractAsyncContextManager[LaneStore]:
        """An empty one."""


def row(lane: str = _LANE, scope: str = _SCOPE, owner: str = "a", at: int | None = None) -> LaneRow:
    """The first row of a lane; `at` is its checkpoint's position, None for no checkpoint."""
    return LaneRow(scope, lane, owner, 1, 0, checkpoint=None if at is None else Checkpoint(at))


def after(old: LaneRow, at: int | None = None, owner: str | None = None) -> LaneRow:
    """The next write of the same owner, or the first of another."""
    checkpoint = old.checkpoint if at is None else Checkpoint(at)
    if owner is None:
        return replace(old, counter=old.counter + 1, checkpoint=checkpoint)
    return replace(old, owner=owner, epoch=old.epoch + 1, counter=0, checkpoint=checkpoint)


def full_row(spans: int = 3) -> LaneRow:
    """A row with everything in it that a row can hold; its numbers are as long as those of Kinesis."""
    apart = 2**101 + 977
    parts = tuple(
        Budget(n, 1573691886.021 + n, in_flight=n % 2 == 0, cuts=n, given_up=n == 1)
        for n in range(min(spans, 200))
    )
    above = tuple(
        Span(_FAR + apart * 3 * n, _FAR + apart * (3 * n + n % 3), n % len(parts) if n % 2 else None)
        for n in range(1, spans + 1)
    )
    checkpoint = Checkpoint(at=_FAR, ended=False, clean=False, spans=above, parts=parts)
    return LaneRow(_SCOPE, _LANE, "host-1/42", 7, 1234, Start(1573691886.021), checkpoint)


def require(condition: object, what: str, seen: object) -> None:
    if not condition:
        raise AssertionError(f"{what}; got {seen!r}")


async def nothing_is_there_at_first(harness: Harness) -> None:
    async with harness.store() as store:
        await _holds(store)


async def rows_come_back_as_they_were(harness: Harness) -> None:
    variants = (
        full_row(),
        row("no-checkpoint"),
        row("at-0", at=0),
        replace(row("oldest"), start=Start(), checkpoint=Checkpoint()),
        replace(row("ended"), checkpoint=Checkpoint(_FAR, ended=True)),
        replace(row("not-begun"), checkpoint=Checkpoint(None, clean=False, spans=(Span(5, 5), Span(9, 12)))),
        replace(row("*", owner=""), epoch=0, start=Start(0.1)),
        row("größer ✓/'\";--"),
    )
    async with harness.store() as store:
        for one in variants:
            require(await store.swap(None, one), "a first row is written", one)
        await _holds(store, *variants)


async def a_row_is_made_once(harness: Harness) -> None:
    async with harness.store() as store:
        require(await store.swap(None, row(at=1)), "the first is written", False)
        require(not await store.swap(None, row(at=2)), "there is a row already", True)
        await _holds(store, row(at=1))


async def each_write_needs_the_last_one(harness: Harness) -> None:
    first = row(at=1)
    second = after(first, 2)
    third = after(second, 3)
    async with harness.store() as store:
        for old, new in ((None, first), (first, second), (second, third)):
            require(await store.swap(old, new), "whoever saw the last write may write", new)
        for other in (None, first, second, after(third, 3), after(third, 3, owner="b")):
            require(not await store.swap(other, after(third, 9)), "nobody else may", other)
            require(other is None or not await store.forget(other), "nor make it forgotten", other)
        await _holds(store, third)


async def a_row_that_is_not_there_cannot_be_changed(harness: Harness) -> None:
    async with harness.store() as store:
        require(not await store.swap(row(), after(row())), "there is nothing to change", True)
        require(not await store.forget(row()), "there is nothing to forget", True)
        await _holds(store)


async def an_owner_that_lost_its_row_cannot_write(harness: Harness) -> None:
    mine = row(at=1)
    theirs = after(mine, owner="b")
    async with harness.store() as store:
        await store.swap(None, mine)
        require(await store.swap(mine, theirs), "a row can be taken over", theirs)
        require(not await store.swap(mine, after(mine, 9)), "the old owner is shut out", True)
        await _holds(store, theirs)


async def of_many_that_saw_the_same_one_wins(harness: Harness) -> None:
    async with harness.store() as store:
        last = row(at=0)
        await store.swap(None, last)
        for _ in range(10):
            wanted = [after(last, n, owner=f"owner-{n}") for n in range(20)]
            won = await _at_once(store.swap(last, new) for new in wanted)
            require(won.count(True) == 1, "exactly one of them writes", won)
            last = wanted[won.index(True)]
            await _holds(store, last)


async def of_many_that_make_a_row_one_wins(harness: Harness) -> None:
    async with harness.store() as store:
        wanted = [row(at=n, owner=f"owner-{n}") for n in range(20)]
        won = await _at_once(store.swap(None, new) for new in wanted)
        require(won.count(True) == 1, "exactly one of them writes", won)
        await _holds(store, wanted[won.index(True)])


async def lanes_do_not_hinder_each_other(harness: Harness) -> None:
    async with harness.store() as store:
        rows = [row(f"lane-{n:03}", at=0) for n in range(200)]
        require(all(await _at_once(store.swap(None, one) for one in rows)), "all are written", rows)
        following = [after(one, 1) for one in rows]
        swapped = await _at_once(store.swap(old, new) for old, new in zip(rows, following, strict=True))
        require(all(swapped), "all are written", swapped)
        await _holds(store, *following)


async def scopes_are_apart(harness: Harness) -> None:
    mine, theirs = row(at=1), row(scope="another", at=2)
    async with harness.store() as store:
        for one in (mine, theirs):
            require(await store.swap(None, one), "the same lane of another mapping is another row", one)
        require(await store.forget(mine), "one of them is forgotten", False)
        await _holds(store)
        require(list(await store.view("another")) == [theirs], "the other stays", theirs)


async def a_row_is_forgotten_only_as_it_was_seen(harness: Harness) -> None:
    first = row(at=1)
    second = after(first, 2)
    async with harness.store() as store:
        await store.swap(None, first)
        await store.swap(first, second)
        require(not await store.forget(first), "it has changed since", True)
        await _holds(store, second)
        require(await store.forget(second), "this is how it is", False)
        await _holds(store)
        require(not await store.forget(second), "it is forgotten already", True)


async def a_forgotten_row_can_be_made_anew_and_is_another(harness: Harness) -> None:
    mine = row(at=1)
    theirs = row(at=2, owner="b")
    async with harness.store() as store:
        await store.swap(None, mine)
        await store.forget(mine)
        require(not await store.swap(mine, after(mine)), "it is gone for its owner", True)
        require(await store.swap(None, theirs), "and can be made", theirs)
        require(not await store.swap(mine, after(mine)), "the same numbers do not make it the same row", True)
        await _holds(store, theirs)


async def what_was_viewed_does_not_change(harness: Harness) -> None:
    first = row(at=1)
    async with harness.store() as store:
        await store.swap(None, first)
        seen = await store.view(_SCOPE)
        await store.swap(first, after(first, 2))
        await store.swap(None, row("another"))
        require(list(seen) == [first], "a view is of its moment", seen)


async def a_cancelled_write_harms_no_other(harness: Harness) -> None:
    """It may be there or not; but whoever looks can go on from what is there."""
    mine, other = row("cancelled", at=0), row("other", at=0)
    async with harness.store() as store:
        await _at_once(store.swap(None, one) for one in (mine, other))
        async with asyncio.TaskGroup() as group:
            abandoned = group.create_task(store.swap(mine, after(mine, 1)))
            beside = group.create_task(store.swap(other, after(other, 1)))
            await asyncio.sleep(0)
            abandoned.cancel()
        require(beside.result(), "the other is written", beside)
        found = {one.lane: one for one in await store.view(_SCOPE)}["cancelled"]
        require(found in {mine, after(mine, 1)}, "the old or the new, nothing else", found)
        require(await store.swap(found, after(found, 2)), "and it goes on from there", found)


async def a_large_checkpoint_is_kept(harness: Harness) -> None:
    first = full_row(1_000)
    async with harness.store() as store:
        try:
            require(await store.swap(None, first), "a thousand spans are written", False)
        except StoreFailed as error:
            raise AssertionError("a thousand spans are no reason to fail") from error
        await _holds(store, first)


async def _at_once(writes: Iterable[Awaitable[bool]]) -> list[bool]:
    return list(await asyncio.gather(*writes))


async def _holds(store: LaneStore, *rows: LaneRow) -> None:
    """That the scope has these rows and no others."""
    found = sorted(await store.view(_SCOPE), key=lambda one: one.lane)
    require(found == sorted(rows, key=lambda one: one.lane), f"the scope holds {rows!r}", found)


Rule = Callable[[Harness], Awaitable[None]]

RULES: Sequence[Rule] = (
    nothing_is_there_at_first,
    rows_come_back_as_they_were,
    a_row_is_made_once,
    each_write_needs_the_last_one,
    a_row_that_is_not_there_cannot_be_changed,
    an_owner_that_lost_its_row_cannot_write,
    of_many_that_saw_the_same_one_wins,
    of_many_that_make_a_row_one_wins,
    lanes_do_not_hinder_each_other,
    scopes_are_apart,
    a_row_is_forgotten_only_as_it_was_seen,
    a_forgotten_row_can_be_made_anew_and_is_another,
    what_was_viewed_does_not_change,
    a_cancelled_write_harms_no_other,
    a_large_checkpoint_is_kept,
)
