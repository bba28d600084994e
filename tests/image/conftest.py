"""The image, built once for all tests that run it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.buildah import Image, Store
from image.network import certificates, pip_conf
from image.tools import BASE, buildah_installed, needed

ROOT = Path(__file__).parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "image: lints, builds or runs the container image; needs root and Debian")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built with the Dockerfile on a base without a registry, as `docker build` would."""
    base = needed(BASE) / "base.tar"
    buildah_installed()
    folder = tmp_path_factory.mktemp("image")
    conf = folder / "pip.conf"
    conf.write_text(pip_conf())
    store = Store(folder)
    try:
        store.take_base(base)
        store.build(ROOT, ROOT / "deploy" / "Dockerfile", conf, certificates())
        yield store.image()
    finally:
        store.release()
        shutil.rmtree(folder)
