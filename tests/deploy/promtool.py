"""Where Prometheus's own checker is: on this machine, or unpacked from Debian's package without installing it."""

import os
import shutil
from pathlib import Path

import pytest

from servers import Command, Place, Recipe, Unavailable, do_without, installed, run_tool


def promtool() -> Path:
    """The program; skips the test if it cannot be had, or fails it with `CI=true`."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    try:
        return installed(_PACKAGE) / "usr" / "bin" / "promtool"
    except Unavailable as error:
        do_without(_PACKAGE, error)


def _unpack(home: Path) -> None:
    run_tool("apt-get", "download", "prometheus", cwd=home)
    (package,) = home.glob("prometheus_*.deb")
    run_tool("dpkg", "-x", package, home, cwd=home)
    package.unlink()


def _never_served(_: Place) -> Command:
    pytest.fail("only the checker is used, no Prometheus is started")


_PACKAGE = Recipe(
    name="prometheus",
    version="of-the-distribution",
    origin=f"apt-get download prometheus, {os.uname().machine}",
    install=_unpack,
    command=_never_served,
    probe="/-/ready",
)
