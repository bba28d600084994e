"""How a server is asked whether it can be used: by its port, without an exception, within a few seconds."""

import http.client
import socket
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

_SECONDS = 2.0
_QUIET = {"log_level": 0, "socket.connection.setup.timeout.ms": 2000}


def http_answers(path: str) -> Callable[[int], bool]:
    """Whether a GET of that path is answered with a status below 400."""

    def answers(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers


def kafka_answers(port: int) -> bool:
    """Whether a broker tells of itself in its metadata."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_SECONDS).close()  # a client costs threads
        asker = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", **_QUIET})
        brokers = asker.list_topics(timeout=_SECONDS).brokers.values()
    except (OSError, KafkaException):
        return False
    return any(broker.port == port for broker in brokers)
