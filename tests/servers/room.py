"""The servers of one test run: started when a test first wants one, shared by all, stopped at the end.

It also remembers what could not be had and why, so that a missing server is looked for once and
the run can say at its end what it was checked against.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from .install import Unavailable, installed
from .process import Server
from .recipe import Recipe, Wanted


class Room:
    """Holds the servers of a run. `make_folder` gives an empty scratch folder for a name.

    `ran` has the versions of what was there, `missing` why the rest was not.
    """

    def __init__(self, make_folder: Callable[[str], Path], fetch: Callable[[Wanted], Path] = installed) -> None:
        self._make_folder = make_folder
        self._fetch = fetch
        self._shared: dict[str, Server] = {}
        self.ran: dict[str, str] = {}
        self.missing: dict[str, Unavailable] = {}

    def prepare(self, recipe: Wanted) -> None:
        """Downloads it ahead of the tests, whose time limits are no measure for a download. Never raises."""
        if recipe.name not in self.missing:
            try:
                self._fetch(recipe)
            except Unavailable as error:
                self.missing[recipe.name] = error

    def home(self, package: Wanted) -> Path:
        """The folder of a program. Raises Unavailable."""
        if package.name in self.missing:
            raise self.missing[package.name]
        home = self._fetch(package)
        self.ran[package.name] = package.version
        return home

    def shared(self, recipe: Recipe) -> Server:
        """The running server of that kind that all tests share. Raises Unavailable."""
        if recipe.name not in self._shared:
            self._shared[recipe.name] = self._started(recipe)
        return self._shared[recipe.name]

    @contextmanager
    def own(self, recipe: Recipe) -> Iterator[Server]:
        """A fresh server that the caller may stop and kill as it likes. Raises Unavailable."""
        server = self._started(recipe)
        try:
            yield server
        finally:
            server.stop()

    def close(self) -> None:
        """Stops the shared servers."""
        for server in self._shared.values():
            server.stop()

    def summary(self) -> str:
        """One line: what ran, and what could not be had and why."""
        ran = ", ".join(f"{name} {version}" for name, version in self.ran.items())
        missing = ", ".join(f"{name} ({error.reason})" for name, error in self.missing.items())
        return f"servers: {ran or 'none'}" + (f"; not available: {missing}" if missing else "")

    def _started(self, recipe: Recipe) -> Server:
        if recipe.name in self.missing:
            raise self.missing[recipe.name]
        try:
            server = Server(recipe, self._fetch(recipe), self._make_folder(recipe.name))
            server.start()
        except Unavailable as error:
            self.missing[recipe.name] = error
            raise
        self.ran[recipe.name] = recipe.version
        return server


def do_without(recipe: Wanted, error: Unavailable) -> NoReturn:
    """Skips the test that wants a missing server, or fails it where CI promises that all can be had."""
    text = f"{recipe.name} {recipe.version} is not available: {error}"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        raise pytest.fail.Exception(text, pytrace=False) from None
    raise pytest.skip.Exception(text) from None
