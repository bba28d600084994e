"""Downloads servers once and keeps them in a folder of the project.

Two test runs may want the same server at the same moment, and either may be killed half way: so an
installation is made in a temporary folder under a file lock, and only a complete one gets its name.
"""

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .recipe import Wanted

CACHE = Path(__file__).parents[2] / ".servers"

_TOOL_SECONDS = 300.0
_TAIL_CHARACTERS = 4_000


class Unavailable(Exception):
    """This machine cannot provide the server. The first line says why, the rest is a tool's output."""

    @property
    def reason(self) -> str:
        """The first line."""
        return str(self).splitlines()[0]


def installed(recipe: Wanted, cache: Path = CACHE) -> Path:
    """The folder with the server or the program in it, made now if need be.

    Raises Unavailable when it cannot be made.
    """
    home = cache / recipe.folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{recipe.folder}.lock"):
        if not home.exists():
            _install(recipe, home)
    return home


def run_tool(*argv: str | Path, cwd: Path) -> None:
    """Runs a downloader to its end (at most 300 s); it is silent unless it fails.

    Raises Unavailable with what the tool printed.
    """
    program = Path(argv[0]).name
    if shutil.which(argv[0]) is None:
        raise Unavailable(f"{program} is not installed")
    try:
        done = subprocess.run(argv, cwd=cwd, check=False, capture_output=True, text=True, timeout=_TOOL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{program} did not end within {_TOOL_SECONDS:.0f} s") from error
    if done.returncode != 0:
        output = f"{done.stdout}{done.stderr}"[-_TAIL_CHARACTERS:]
        raise Unavailable(f"{program} failed with exit code {done.returncode}\n{output}")


def _install(recipe: Wanted, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{recipe.name}-partial-") as scratch:
        partial = Path(scratch) / "home"
        partial.mkdir()
        recipe.install(partial)
        partial.rename(home)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, so also when the process is killed
        yield
