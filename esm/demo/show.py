"""What people see: a live table on a terminal, plain lines elsewhere, and the account at the end."""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from esm.demo.account import Account

_LINE_EVERY = 2.0
_FEW = 5


class Progress:
    """Shows how far the mappings are, from what the engine's `/status` says. `sent` by mapping."""

    def __init__(self, console: Console, sent: Mapping[str, int]) -> None:
        self._console = console
        self._sent = sent
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began = time.monotonic()
        self._next_line = 0.0

    def shown(self) -> AbstractContextManager[Any]:
        """While the context is open, `update` can be called."""
        return self._live or nullcontext()

    def update(self, mappings: Mapping[str, Any], left: Mapping[str, int], dead: Mapping[str, int]) -> None:
        """`mappings` as in `/status`; `left` and `dead` as the sources and the dead letters say, by mapping."""
        done = {name: sent - left[name] - dead[name] for name, sent in self._sent.items()}
        passed = time.monotonic() - self._began
        if self._live:
            self._live.update(self._table(mappings, done, dead, passed), refresh=True)
        elif passed >= self._next_line:
            self._next_line = passed + _LINE_EVERY
            parts = [self._line(name, mappings[name], done, dead) for name in self._sent if name in mappings]
            self._console.print(f"{passed:4.0f} s  {'; '.join(parts)}", markup=False, soft_wrap=True)

    def _table(
        self, mappings: Mapping[str, Any], done: Mapping[str, int], dead: Mapping[str, int], passed: float
    ) -> Table:
        table = _table(f"esm demo, {passed:.0f} s", "Mapping", "Last result")
        for heading in ("Calls", "Partial", "Busy", "In flight", "Dead", "Done"):
            table.add_column(heading, justify="right")
        for name in self._sent:
            if name in mappings:
                table.add_row(*self._row(name, mappings[name], done, dead))
        return table

    def _row(
        self, name: str, mapping: Mapping[str, Any], done: Mapping[str, int], dead: Mapping[str, int]
    ) -> Sequence[str]:
        counts = mapping["counts"]
        return (
            name,
            escape(mapping["last_processing_result"]),
            str(sum(counts["invocations"].values())),
            str(counts["invocations"]["partial"]),
            str(mapping["concurrency"]),
            _or_dash(mapping["queue"]["in_flight"]),
            str(dead[name]),
            f"{done[name]} of {self._sent[name]}",
        )

    def _line(
        self, name: str, mapping: Mapping[str, Any], done: Mapping[str, int], dead: Mapping[str, int]
    ) -> str:
        figures = f"{done[name]} of {self._sent[name]} done, {dead[name]} dead-lettered"
        return f"{name}: {figures}, {mapping['last_processing_result']}"


def report(console: Console, accounts: Sequence[Account]) -> None:
    """The account, counted outside the engine, and whether it balances."""
    table = _table("Counted from the function's own journal, queues and dead letters", "Source")
    for heading in ("Sent", "Delivered", "Dead", "Waiting", "Lost", "Repeated", "Order"):
        table.add_column(heading, justify="right")
    for account in accounts:
        table.add_row(*_account_row(account))
    console.print(table)
    for account in accounts:
        if account.behind:
            console.print(
                f"{account.source}: {account.behind} of the dead-lettered waited behind a message that never "
                "succeeds, and used up their receives with it, as on AWS.",
                soft_wrap=True,
            )
    _verdict(console, accounts)


def _account_row(account: Account) -> Sequence[str]:
    order = "-" if not account.ordered else "BROKEN" if account.overtaken else "kept"
    numbers = (account.sent, account.delivered, account.dead, account.waiting, len(account.lost), account.repeated)
    return (account.source, *map(str, numbers), order)


def _verdict(console: Console, accounts: Sequence[Account]) -> None:
    if all(account.balanced for account in accounts):
        waiting = " + waiting" if any(account.waiting for account in accounts) else ""
        console.print(
            f"The account balances: sent = delivered + dead-lettered{waiting}, lost 0, order kept.",
            style="bold green",
            soft_wrap=True,
        )
        return
    console.print("The account does NOT balance.", style="bold red")
    for account in accounts:
        for what, ids in _wrongs(account).items():
            if ids:
                console.print(f"  {account.source}: {len(ids)} {what}: {_some(ids)}", soft_wrap=True)


def _wrongs(account: Account) -> Mapping[str, Collection[str]]:
    return {
        "lost": account.lost,
        "found but never sent": account.strangers,
        "accounted for twice": account.twice,
        "in the wrong place": account.misplaced,
        "worked off before an earlier one of their group": account.overtaken,
    }


def _some(ids: Collection[str]) -> str:
    shown = list(ids)[:_FEW]
    return ", ".join(shown) + (", …" if len(ids) > len(shown) else "")


def _table(title: str, *headings: str) -> Table:
    return Table(*headings, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)
