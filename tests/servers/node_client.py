"""AWS's client of the Lambda Runtime API for Node: no server, but what runs functions in Lambda's Node images.

npm compiles it with what it ships, which takes about a minute and wants cmake, a C++ compiler and autotools.
"""

from pathlib import Path

from .install import run_tool
from .recipe import Package

_VERSION = "4.0.2"
_OPTIONS = ("--no-audit", "--no-fund", "--loglevel=error")


def _install(home: Path) -> None:
    run_tool("npm", "install", *_OPTIONS, "--prefix", home, f"aws-lambda-ric@{_VERSION}", cwd=home)


NODE_CLIENT = Package("node_client", _VERSION, origin="npm", install=_install)
