"""How this machine reaches a package index, handed to a build so that it stays out of the image.

The machine's pip knows an index, a proxy or a timeout, its bundle of certificates whom to trust; a container has
neither.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_KINDS = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout", "timeout", "retries")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def pip_conf() -> str:
    """A pip.conf with the network's part of this machine's configuration."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True, timeout=60
    )
    options = network_options(listed.stdout.splitlines())
    return "".join(["[global]\n", *(f"{name} = {value}\n" for name, value in options.items())])


def network_options(listed: Iterable[str]) -> Mapping[str, str]:
    """From lines such as `global.timeout='60'`; the environment's, `:env:.timeout='60'`, win as they do in pip."""
    found = {}
    for line in sorted(listed, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        kind = name.rpartition(".")[2]
        if kind in _KINDS:
            found[kind.removeprefix("default-")] = "\n    ".join(str(ast.literal_eval(value)).split())
    return found


def certificates() -> list[str]:
    """The mount of the machine's bundle over the container's, where the machine has one."""
    return [f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []
