"""The real servers do what the tests rely on, and so does the machinery that fetches and runs them."""

import dataclasses
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectionError as NoConnectionError  # type: ignore[import-untyped]

from servers import (
    Command,
    Place,
    QueueMaker,
    Recipe,
    Room,
    Server,
    Unavailable,
    Wanted,
    do_without,
    installed,
    run_tool,
)

Clients = Callable[[str], Any]

_TINY_SERVER = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def receive(client: Any, url: str, wait: int = 5) -> list[Any]:
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
    return list(answer.get("Messages", []))


def tiny_recipe(
    program: str = _TINY_SERVER,
    *,
    origin: str = "1",
    install: Callable[[Path], None] = Path.touch,
) -> Recipe:
    def command(place: Place) -> Command:
        return Command((sys.executable, "-c", program, str(place.port)))

    return Recipe("tiny", "1", origin, install, command, probe="/")


# --- what the servers do


def test_a_message_is_received_and_after_its_deletion_gone(
    sqs_server: Server, boto_sqs: Clients, make_queue: QueueMaker
) -> None:
    client, queue = boto_sqs(sqs_server.endpoint_url), make_queue(sqs_server.endpoint_url, visibility=1)
    client.send_message(QueueUrl=queue.url, MessageBody="hello")
    (message,) = receive(client, queue.url)
    assert message["Body"] == "hello"
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert receive(client, queue.url, wait=2) == []  # longer than the visibility timeout


def test_a_message_that_is_not_deleted_comes_again_and_then_goes_to_the_dead_letters(
    sqs_server: Server, boto_sqs: Clients, make_queue: QueueMaker
) -> None:
    client = boto_sqs(sqs_server.endpoint_url)
    queue = make_queue(sqs_server.endpoint_url, visibility=1, max_receives=2)
    assert queue.dead_letters is not None
    client.send_message(QueueUrl=queue.url, MessageBody="poison")
    bodies = [message["Body"] for _ in range(2) for message in receive(client, queue.url)]
    assert bodies == ["poison", "poison"]
    assert receive(client, queue.url, wait=2) == []
    (dead,) = receive(client, queue.dead_letters.url)
    assert dead["Body"] == "poison"


def test_fifo_order_holds_inside_each_group(sqs_server: Server, boto_sqs: Clients, make_queue: QueueMaker) -> None:
    client, queue = boto_sqs(sqs_server.endpoint_url), make_queue(sqs_server.endpoint_url, fifo=True)
    assert queue.name.endswith(".fifo")
    for number in range(12):
        client.send_message(
            QueueUrl=queue.url,
            MessageBody=str(number),
            MessageGroupId=str(number % 2),
            MessageDeduplicationId=str(number),
        )
    bodies: list[int] = []
    while messages := receive(client, queue.url, wait=0):
        for message in messages:
            bodies.append(int(message["Body"]))
            client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert [body for body in bodies if body % 2 == 0] == [0, 2, 4, 6, 8, 10]
    assert [body for body in bodies if body % 2 == 1] == [1, 3, 5, 7, 9, 11]


def test_queues_of_one_test_have_different_names(sqs_server: Server, make_queue: QueueMaker) -> None:
    assert make_queue(sqs_server.endpoint_url).url != make_queue(sqs_server.endpoint_url).url


def test_only_its_own_port_on_loopback_is_open(sqs_server: Server) -> None:
    addresses = {ip.removeprefix("::ffff:") for ip, _ in sqs_server.listening()}
    assert addresses == {"127.0.0.1"}
    assert {port for _, port in sqs_server.listening()} == {sqs_server.port}


def test_a_kinesis_server_is_on_loopback_only(kinesis_server: Server) -> None:
    assert {ip.removeprefix("::ffff:") for ip, _ in kinesis_server.listening()} == {"127.0.0.1"}


def test_an_outage_and_the_return_at_the_same_address_with_the_messages(
    own_sqs_server: Server, boto_sqs: Clients, make_queue: QueueMaker
) -> None:
    client, queue = boto_sqs(own_sqs_server.endpoint_url), make_queue(own_sqs_server.endpoint_url)
    client.send_message(QueueUrl=queue.url, MessageBody="kept")
    own_sqs_server.stop()
    with pytest.raises(NoConnectionError):
        client.get_queue_url(QueueName=queue.name)
    own_sqs_server.start()
    assert client.get_queue_url(QueueName=queue.name)["QueueUrl"] == queue.url
    assert [message["Body"] for message in receive(client, queue.url)] == ["kept"]


def test_a_killed_server_starts_again_at_the_same_address(
    own_sqs_server: Server, boto_sqs: Clients, make_queue: QueueMaker
) -> None:
    before = own_sqs_server.endpoint_url
    own_sqs_server.kill()
    assert own_sqs_server.listening() == set()
    own_sqs_server.start()
    assert own_sqs_server.endpoint_url == before
    assert boto_sqs(before).send_message(QueueUrl=make_queue(before).url, MessageBody="again")["MessageId"]


# --- how they are fetched


def test_a_failed_installation_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fails_half_way(home: Path) -> None:
        (home / "half").write_text("")
        run_tool(sys.executable, "-c", "print('no such host'); exit(3)", cwd=home)

    with pytest.raises(Unavailable, match="exit code 3\nno such host"):
        installed(tiny_recipe(install=fails_half_way), tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert not list(installed(tiny_recipe(), tmp_path).iterdir())


def test_two_runs_at_once_install_once(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()
    installations: list[Path] = []

    def slow(home: Path) -> None:
        installations.append(home)
        began.set()
        assert go_on.wait(10)

    runs = [threading.Thread(target=installed, args=(tiny_recipe(install=slow), tmp_path)) for _ in range(2)]
    for run in runs:
        run.start()
    assert began.wait(10)
    go_on.set()
    for run in runs:
        run.join(10)
    assert len(installations) == 1


def test_another_origin_is_another_folder(tmp_path: Path) -> None:
    assert installed(tiny_recipe(origin="1"), tmp_path) != installed(tiny_recipe(origin="2"), tmp_path)


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(Unavailable, match="no-such-tool is not installed"):
        run_tool("no-such-tool", cwd=Path.cwd())


# --- how they are run


def test_a_server_whose_program_is_missing_names_it(tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe(), command=lambda _: Command(("no-such-java",)))
    with pytest.raises(Unavailable, match="no-such-java is not installed"):
        Server(recipe, tmp_path, tmp_path).start()


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    server = Server(tiny_recipe("import sys; sys.exit('bad option')"), tmp_path, tmp_path)
    with pytest.raises(Unavailable, match="exit code 1\nbad option"):
        server.start()


def test_a_server_whose_port_was_taken_is_not_mistaken_for_the_one_that_took_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    waiting = Server(tiny_recipe(), tmp_path, first)
    thief = Recipe("thief", "1", "1", lambda _: None, lambda _: waiting._command, probe="/")
    taker = Server(thief, tmp_path, second)
    taker._place = waiting._place
    taker.start()
    try:
        with pytest.raises(Unavailable, match="Address already in use"):
            waiting.start()
    finally:
        taker.stop()


def test_the_port_is_free_again_after_a_stop(tmp_path: Path) -> None:
    server = Server(tiny_recipe(), tmp_path, tmp_path)
    server.start()
    assert server.listening() == {("127.0.0.1", server.port)}
    server.restart()
    server.stop()
    server.stop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", server.port))


# --- what a run says about them


def test_a_missing_server_is_looked_for_once_and_named_with_its_reason(tmp_path: Path) -> None:
    searches: list[str] = []

    def search(recipe: Wanted) -> Path:
        searches.append(recipe.name)
        raise Unavailable("no network\nmuch output")

    room = Room(lambda _: tmp_path, search)
    room.prepare(tiny_recipe())
    for _ in range(2):
        with pytest.raises(Unavailable, match="no network"):
            room.shared(tiny_recipe())
    assert searches == ["tiny"]
    assert room.summary() == "servers: none; not available: tiny (no network)"


def test_a_run_names_its_servers_and_stops_them(tmp_path: Path) -> None:
    room = Room(lambda _: tmp_path, lambda _: tmp_path)
    server = room.shared(tiny_recipe())
    assert room.shared(tiny_recipe()) is server
    assert room.summary() == "servers: tiny 1"
    room.close()
    assert server.listening() == set()


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", pytest.fail.Exception), ("1", pytest.fail.Exception), ("", pytest.skip.Exception)],
)
def test_a_missing_server_skips_a_test_but_fails_it_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="tiny 1 is not available: no java"):
        do_without(tiny_recipe(), Unavailable("no java"))
