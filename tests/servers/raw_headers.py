"""Writes a record with a header whose name is any bytes: what clients in C do, and Python's client does not."""

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_void_p

from .mock_cluster import library
from .topics import Topic

_PRODUCER = 0
_COPY = 2
_TOPIC, _VALUE, _FLAGS, _HEADERS, _END = 1, 4, 7, 10, 0
_MILLISECONDS = 10_000


def produce_with_header(topic: Topic, name: bytes, value: bytes) -> None:
    """Waits until the brokers have it. Raises FileNotFoundError without the library."""
    rdkafka = library()
    for function in (rdkafka.rd_kafka_conf_new, rdkafka.rd_kafka_new, rdkafka.rd_kafka_headers_new):
        function.restype = c_void_p
    rdkafka.rd_kafka_conf_set.argtypes = (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)
    rdkafka.rd_kafka_new.argtypes = (c_int, c_void_p, c_char_p, c_size_t)
    rdkafka.rd_kafka_header_add.argtypes = (c_void_p, c_char_p, c_ssize_t, c_char_p, c_ssize_t)
    error = ctypes.create_string_buffer(512)
    settings = rdkafka.rd_kafka_conf_new()
    rdkafka.rd_kafka_conf_set(settings, b"bootstrap.servers", topic.bootstrap.encode(), error, len(error))
    producer = c_void_p(rdkafka.rd_kafka_new(_PRODUCER, settings, error, len(error)))
    headers = rdkafka.rd_kafka_headers_new(c_size_t(1))
    rdkafka.rd_kafka_header_add(headers, name, len(name), value, len(value))
    failed = rdkafka.rd_kafka_producev(
        producer,
        c_int(_TOPIC), c_char_p(topic.name.encode()),
        c_int(_VALUE), c_char_p(value), c_size_t(len(value)),
        c_int(_FLAGS), c_int(_COPY),
        c_int(_HEADERS), c_void_p(headers),
        c_int(_END),
    )  # fmt: skip
    assert not failed, f"error {failed}"
    assert not rdkafka.rd_kafka_flush(producer, c_int(_MILLISECONDS)), "it was not taken"
    rdkafka.rd_kafka_destroy(producer)
