"""What goes wrong with Kafka, as the one error the engine acts on: `Disconnected`.

Codes are short and few, because they label a metric: those of Kafka's protocol and of librdkafka, by name. Reasons
are librdkafka's own words, cut at the end of the first line.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from esm.errors import Disconnected

NO_TOPIC = "NonExistentTopic"

_LONGEST_TEXT = 400
_UNREACHABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 -- librdkafka's own errors have names that begin so
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)
_CODES = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: NO_TOPIC,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: NO_TOPIC,  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "AccessDenied",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "AccessDenied",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "AccessDenied",
    KafkaError._AUTHENTICATION: "Authentication",  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: "Authentication",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "Authentication",
    KafkaError.ILLEGAL_SASL_STATE: "Authentication",
    KafkaError._SSL: "TLS",  # noqa: SLF001
    KafkaError.FENCED_INSTANCE_ID: "FencedInstanceId",
    KafkaError.INVALID_GROUP_ID: "InvalidGroupId",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "InconsistentGroupProtocol",
    KafkaError.UNSUPPORTED_VERSION: "UnsupportedVersion",
    KafkaError._UNSUPPORTED_FEATURE: "UnsupportedVersion",  # noqa: SLF001
}
"""A person has to act: these last."""


def is_lasting(error: KafkaError) -> bool:
    """Whether trying again will not help before somebody has acted."""
    return error.code() in _CODES


def reason_of(error: KafkaError) -> str:
    """In the client's own words."""
    text = str(error.str()).splitlines()[0] if error.str() else str(error.name())
    return text[:_LONGEST_TEXT]


def problem_of(error: KafkaError) -> Disconnected:
    """As the engine acts on it."""
    code = error.code()
    if code in _UNREACHABLE:
        return Disconnected("unreachable", reason_of(error))
    return Disconnected(_CODES.get(code, str(error.name())), reason_of(error), lasting=code in _CODES)


@contextmanager
def translated() -> Iterator[None]:
    """What is raised inside as `Disconnected`."""
    try:
        yield
    except KafkaException as raised:
        raise problem_of(raised.args[0]) from None
