"""What is needed to have one real server: where it comes from and how it is run.

A recipe is a plain value, so adding a server means writing one more of them; everything that
all servers share (cache, start, stop) takes a recipe and lives elsewhere. A program that is no server
is a package: it is only downloaded.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where one server process lives: its installation, its scratch folder and its port on 127.0.0.1."""

    home: Path
    work: Path
    port: int


@dataclass(frozen=True)
class Command:
    """A program to run, with what is added to the environment of the tests for it."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Package:
    """One program at one version. `origin` and `install` as for a recipe."""

    name: str
    version: str
    origin: str
    install: Callable[[Path], None]

    @property
    def folder(self) -> str:
        """The name of its folder in the cache."""
        return _folder(self.name, self.version, self.origin)


@dataclass(frozen=True)
class Recipe:
    """One server at one version.

    `origin` is everything that decides what `install` puts into its folder: a change of it is a new
    folder in the cache, so an old installation is never mistaken for the wanted one. `install` fills
    the folder it is given and may not write absolute paths into it, because the folder is renamed when
    it is complete. `probe` is a path that answers with a status below 400 once the server can be used,
    or where it speaks something else than HTTP, a question to ask of its port.
    """

    name: str
    version: str
    origin: str
    install: Callable[[Path], None]
    command: Callable[[Place], Command]
    probe: str | Callable[[int], bool]

    @property
    def folder(self) -> str:
        """The name of its folder in the cache."""
        return _folder(self.name, self.version, self.origin)


def _folder(name: str, version: str, origin: str) -> str:
    return f"{name}-{version}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"


Wanted = Recipe | Package
