"""The image, built and run: who it runs as, what it could write to, and the engine in it at work."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from esm import __version__
from image.buildah import Image
from servers import ELASTICMQ, Command, Place, Recipe, Room, Server, Unavailable, do_without
from servers.process import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = f"{DEPLOY / 'config'}:/etc/esm:ro"

# The first run on a machine also makes the base.
pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

_WRITABLE = """
import os, stat
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in {"proc", "sys", "dev"}]
    for path in (os.path.join(folder, name) for name in folders + files):
        if os.access(path, os.W_OK, follow_symlinks=True) and not os.path.islink(path):
            print(path)
"""


# --- what is in it


def test_it_says_which_version_it_is(image: Image) -> None:
    done = image.run("esm", "--version")
    assert (done.returncode, done.stdout) == (0, f"esm {__version__}\n"), done.stderr


def test_the_example_is_valid_in_it(image: Image) -> None:
    done = image.run("esm", "validate", "--config", "/etc/esm", mounts=[CONFIG])
    assert done.returncode == 0, done.stderr


def test_a_wrong_configuration_is_told_by_its_place(image: Image, tmp_path: Path) -> None:
    (tmp_path / "esm.yaml").write_text("mappings:\n  orders: {source: nowhere, target: http://f/}\n")
    tmp_path.chmod(0o755)
    done = image.run("esm", "validate", "--config", "/etc/esm", mounts=[f"{tmp_path}:/etc/esm:ro"])
    assert done.returncode == 2
    assert "/etc/esm/esm.yaml:2: mappings.orders.source" in done.stderr


def test_it_runs_as_nobody_who_could_write_anywhere_but_to_temporary_folders(image: Image) -> None:
    done = image.run("python3", "-c", f"import os; print(os.getuid(), os.getgid()){_WRITABLE}")
    who, *writable = done.stdout.splitlines()
    assert who == "10001 10001"
    assert set(writable) == {"/tmp", "/var/tmp", "/run/lock"}


def test_nothing_of_the_build_is_left(image: Image) -> None:
    left = "import glob; print(*glob.glob('/src') + glob.glob('/wheels') + glob.glob('/etc/pip.conf'))"
    assert image.run("python3", "-c", left).stdout.strip() == ""
    assert image.run("python3", "-m", "pip", "--version").returncode != 0


def test_what_a_container_engine_is_told(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    assert image.config["Entrypoint"] == ["esm"]
    assert image.config["Cmd"] == ["run", "--config", "/etc/esm"]
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    names = {variable.partition("=")[0] for variable in image.config["Env"]}
    assert names == {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "ESM_URL"}


# --- the compose file's parts, at work without compose


def _sqs_command(place: Place) -> Command:
    """ElasticMQ with the queues of the compose file, on loopback; what is given here overrides the file."""
    here = {
        "config.file": DEPLOY / "queues.conf",
        "rest-sqs.bind-hostname": "127.0.0.1",
        "rest-sqs.bind-port": place.port,
        "node-address.host": "127.0.0.1",
        "node-address.port": place.port,
    }
    options = [f"-D{name}={value}" for name, value in here.items()]
    return Command(("java", "-Xmx128m", *options, "-cp", f"{place.home}/lib/*", "org.elasticmq.server.Main"))


def _function_command(place: Place) -> Command:
    program = shutil.which("python3") or "python3"
    return Command((program, str(DEPLOY / "function" / "app.py"), "--listen", f"127.0.0.1:{place.port}"))


SQS = replace(ELASTICMQ, command=_sqs_command)
FUNCTION = Recipe("sample-function", "1", "deploy/function", lambda _: None, _function_command, "/healthz")


@pytest.fixture
def parts(server_room: Room, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """The SQS server and the function."""
    function = Server(FUNCTION, tmp_path, tmp_path)
    try:
        with server_room.own(SQS) as sqs:
            function.start()
            yield sqs, function
    except Unavailable as error:
        do_without(SQS, error)
    finally:
        function.stop()


class Engine:
    """The engine in its container, seen from outside."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self._port = port

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; status 0 while nobody answers."""
        assert self._process.poll() is None, "the engine has ended"
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def counts(self, mapping: str) -> Mapping[str, int]:
        return dict(json.loads(self.get("/status")[1])["mappings"][mapping]["counts"])

    def listening(self) -> set[tuple[str, int]]:
        return {
            (socket.laddr.ip, socket.laddr.port)
            for process in self._family()
            for socket in process.net_connections("inet")
            if socket.status == psutil.CONN_LISTEN
        }

    def user(self) -> int:
        return int(self._family()[-1].uids().effective)

    def terminate(self) -> None:
        """SIGTERM to the engine itself, as a container engine sends it."""
        os.kill(self._family()[-1].pid, signal.SIGTERM)

    def exit_code(self) -> int:
        """When it has drained: at most the 20 s of an open long poll, and some."""
        return self._process.wait(40)

    def _family(self) -> list[psutil.Process]:
        return list(psutil.Process(self._process.pid).children(recursive=True))


def eventually(happens: Callable[[], bool], what: Callable[[], object]) -> None:
    """Waits until it is so, at most 40 s; `what` is shown if it never was."""
    deadline = time.monotonic() + 40
    while not happens():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def test_the_composed_parts_process_a_queue_and_the_engine_drains(
    image: Image, parts: tuple[Server, Server], boto_sqs: Callable[[str], Any], tmp_path: Path
) -> None:
    sqs, function = parts
    client = boto_sqs(sqs.endpoint_url)

    def send(group: str, *bodies: str) -> None:
        for queue, more in (("orders", {}), ("payments.fifo", {"MessageGroupId": group})):
            url = f"{sqs.endpoint_url}/000000000000/{queue}"
            for body in bodies:
                client.send_message(QueueUrl=url, MessageBody=body, **more)

    send("a", "one", "poison", "two")
    port = free_port()
    env = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "ESM_LISTEN": f"127.0.0.1:{port}",
        "ESM_URL": f"http://127.0.0.1:{port}",
        "FUNCTION_URL": f"{function.endpoint_url}/invoke",
        "SQS_ENDPOINT": sqs.endpoint_url,
    }
    log = tmp_path / "engine.log"
    with image.started([CONFIG], env, log) as process:
        engine = Engine(process, port)
        eventually(lambda: engine.get("/readyz")[0] == 200, log.read_text)
        eventually(lambda: engine.counts("orders")["deleted"] == 2, log.read_text)
        eventually(lambda: engine.counts("payments")["deleted"] == 1, log.read_text)
        assert engine.user() == 10001
        assert engine.listening() == {("127.0.0.1", port)}
        engine.terminate()
        send("b", "three")  # ends the long polls, which the engine awaits
        assert engine.exit_code() == 0, log.read_text()


def test_the_health_check_tells_an_engine_from_none(image: Image, tmp_path: Path) -> None:
    port = free_port()
    kind, *check = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    asked = ("env", f"ESM_URL=http://127.0.0.1:{port}", *check)
    assert image.run(*asked).returncode != 0
    log = tmp_path / "engine.log"
    with image.started([CONFIG], {"ESM_LISTEN": f"127.0.0.1:{port}"}, log) as process:
        engine = Engine(process, port)
        eventually(lambda: engine.get("/healthz")[0] == 200, log.read_text)
        healthy = image.run(*asked)
        assert healthy.returncode == 0, healthy.stderr
