"""Images by buildah in a store of their own: no daemon, no registry, and no trace on the machine afterwards.

Containers run with chroot isolation: the image's files, user and environment, on the machine's own network and
processes. A read-only root file system and dropped capabilities cannot be had that way; what the image's user
could write to is looked up instead.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

_BASE = "localhost/base:test"
_IMAGE = "localhost/esm:test"
_SECONDS = 280.0


@dataclass(frozen=True)
class Store:
    """Where images and containers are kept."""

    folder: Path

    def take_base(self, archive: Path) -> None:
        """Makes an image of a root file system in a tar archive."""
        container = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", container, str(archive), "/")
        self.buildah("commit", "--quiet", "--rm", container, _BASE)

    def build(self, context: Path, dockerfile: Path, pip_conf: Path, mounts: Sequence[str]) -> None:
        """Builds the image on the base; `mounts` are there during the build only."""
        self.buildah(
            "build",
            *("--format", "docker"),  # the OCI format knows no HEALTHCHECK
            *("--isolation", "chroot", "--network", "host", "--pull-never"),
            *("--build-arg", f"BASE={_BASE}", "--secret", f"id=pip.conf,src={pip_conf}"),
            *(word for mount in mounts for word in ("--volume", mount)),
            *("--file", str(dockerfile), "--tag", _IMAGE, str(context)),
        )

    def image(self) -> "Image":
        inspected = json.loads(self.buildah("inspect", "--type", "image", _IMAGE))
        return Image(self, self.buildah("from", "--pull-never", _IMAGE), inspected["Docker"]["config"])

    def release(self) -> None:
        """Unmounts its containers, so that the folder can be removed."""
        self.buildah("rm", "--all")

    def argv(self, *arguments: str) -> list[str]:
        root, run = str(self.folder / "root"), str(self.folder / "run")
        return ["buildah", "--root", root, "--runroot", run, *arguments]

    def buildah(self, *arguments: str) -> str:
        """What it prints. Raises AssertionError with its errors if it fails."""
        done = subprocess.run(self.argv(*arguments), check=False, capture_output=True, text=True, timeout=_SECONDS)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """The built image, and a container of it to run programs in. `config` is what a container engine obeys."""

    store: Store
    container: str
    config: Mapping[str, Any]

    def run(self, *argv: str, mounts: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
        """Runs a program to its end as the image's user."""
        return subprocess.run(
            self._argv(argv, mounts, {}), check=False, capture_output=True, text=True, timeout=60
        )

    @contextmanager
    def started(
        self, mounts: Sequence[str], env: Mapping[str, str], log: Path
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Runs what the image runs by itself, beside the caller; it is killed if it has not ended by then."""
        argv = self._argv([*self.config["Entrypoint"], *self.config["Cmd"]], mounts, env)
        with log.open("wb") as output, subprocess.Popen(argv, stdout=output, stderr=output) as process:
            try:
                yield process
            finally:
                family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
                process.kill()
                for each in family:  # they would outlive the program that started them
                    with suppress(psutil.NoSuchProcess):
                        each.kill()

    def _argv(self, argv: Sequence[str], mounts: Sequence[str], env: Mapping[str, str]) -> list[str]:
        volumes = [word for mount in mounts for word in ("--volume", mount)]
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        return self.store.argv("run", "--isolation", "chroot", *volumes, *variables, self.container, "--", *argv)
