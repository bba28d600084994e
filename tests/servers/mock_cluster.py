"""librdkafka's mock cluster as a program: brokers that fail in the way they are told to.

The first line that it prints is the address of its brokers. Then each line of its input is one call as JSON,
a name of `CALLS` and its arguments; it answers with one line, the error code, 0 for none. It ends with its
input.
"""

import ctypes
import json
import sys
from ctypes import POINTER, c_char_p, c_int, c_int16, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import confluent_kafka

_PRODUCER = 0

# What follows the cluster itself, as rdkafka_mock.h declares it.
CALLS: dict[str, tuple[Any, ...]] = {
    "topic_create": (c_char_p, c_int, c_int),
    "topic_set_error": (c_char_p, c_int),
    "partition_set_leader": (c_char_p, c_int32, c_int32),
    "broker_set_down": (c_int32,),
    "broker_set_up": (c_int32,),
    "broker_set_rtt": (c_int32, c_int),
    "coordinator_set": (c_char_p, c_char_p, c_int32),
    "group_initial_rebalance_delay_ms": (c_int32,),
    "set_group_consumer_session_timeout_ms": (c_int,),
    "set_group_consumer_heartbeat_interval_ms": (c_int,),
    "clear_request_errors": (c_int16,),
    "push_request_errors_array": (c_int16, c_size_t, POINTER(c_int)),
}
_SILENT = {
    name for name in CALLS if name.startswith(("set_", "clear_", "push_", "group_")) or name.endswith("set_error")
}


def library() -> ctypes.CDLL:
    """The librdkafka that lies beside confluent_kafka in its wheels. Raises FileNotFoundError."""
    package = Path(confluent_kafka.__file__).parent
    for place in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
        for found in place.glob("librdkafka*"):
            return ctypes.CDLL(str(found))
    raise FileNotFoundError("confluent_kafka has no librdkafka of its own beside it")


def cluster(rdkafka: ctypes.CDLL, brokers: int) -> c_void_p:
    """Lives as long as the process."""
    rdkafka.rd_kafka_conf_new.restype = c_void_p
    rdkafka.rd_kafka_new.restype = c_void_p
    rdkafka.rd_kafka_new.argtypes = (c_int, c_void_p, c_char_p, c_size_t)
    rdkafka.rd_kafka_mock_cluster_new.restype = c_void_p
    rdkafka.rd_kafka_mock_cluster_new.argtypes = (c_void_p, c_int)
    rdkafka.rd_kafka_conf_set.argtypes = (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)
    error = ctypes.create_string_buffer(512)
    settings = rdkafka.rd_kafka_conf_new()
    rdkafka.rd_kafka_conf_set(settings, b"log_level", b"0", error, len(error))
    owner = rdkafka.rd_kafka_new(_PRODUCER, settings, error, len(error))
    if not owner:
        raise SystemExit(error.value.decode())
    return c_void_p(rdkafka.rd_kafka_mock_cluster_new(owner, brokers))


def call(rdkafka: ctypes.CDLL, mock: c_void_p, name: str, given: list[Any]) -> int:
    function = getattr(rdkafka, f"rd_kafka_mock_{name}")
    function.argtypes = (c_void_p, *CALLS[name])
    function.restype = None if name in _SILENT else c_int
    return function(mock, *(_plain(each) for each in given)) or 0


def _plain(given: Any) -> Any:
    if isinstance(given, str):
        return given.encode()
    return (c_int * len(given))(*given) if isinstance(given, list) else given


def main() -> None:
    rdkafka = library()
    mock = cluster(rdkafka, int(sys.argv[1]))
    rdkafka.rd_kafka_mock_cluster_bootstraps.restype = c_char_p
    rdkafka.rd_kafka_mock_cluster_bootstraps.argtypes = (c_void_p,)
    print(rdkafka.rd_kafka_mock_cluster_bootstraps(mock).decode(), flush=True)
    for line in sys.stdin:
        name, *given = json.loads(line)
        print(call(rdkafka, mock, name, given), flush=True)


if __name__ == "__main__":
    main()
