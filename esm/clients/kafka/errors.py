"""What goes wrong with Kafka, as the one error the engine acts on: `Disconnected`.

Codes are short and few, because they label a metric: those of Kafka's protocol and of librdkafka, by name. Reasons
are librdkafka's own words, cut at the end of the first line, with what to do about it: its words name its own
settings, or say of a handshake no more than that it failed. What differs from one time to the next is left out,
because the same problem is written once a minute.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from esm.errors import Disconnected

NO_TOPIC = "NonExistentTopic"

_LONGEST_TEXT = 400
_CHANGING = re.compile(r" \(after \d+ms in state .*\)")
UNREACHABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 -- librdkafka's own errors have names that begin so
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)
OF_ONE_BROKER = frozenset({KafkaError._RESOLVE, KafkaError._TRANSPORT})  # noqa: SLF001
"""Why one of them cannot be reached, which says more than that none can."""

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
    KafkaError._INVALID_ARG: "InvalidArgument",  # noqa: SLF001
}
"""A person has to act: these last."""

_CURES = {
    r"handshake failed: Local: Broker transport": ("unreachable", "the broker hung up meanwhile"),
    r"certificate verify failed": ("TLS", "set tls.ca to the authority that signed the brokers' certificates"),
    r"SSL alert number": ("TLS", "the brokers do not take our certificate: check tls.certificate and tls.key"),
    r"PLAINTEXT broker listener": ("TLS", "the brokers speak no TLS there: use another port, or leave tls out"),
    r"\bssl\.\S+ failed": ("TLS", "check the PEM files of tls, or the secret that holds them"),
    r"OAUTHBEARER token": ("Authentication", "check token_endpoint_url, client_id, client_secret and scope"),
    r"Unsupported SASL mechanism": ("Authentication", "set sasl.mechanism to one that the brokers have there"),
    r"not valid in current SASL state": ("Authentication", "use the brokers' port for sasl, or leave sasl out"),
    r"(?i)authentication (error|fail)": ("Authentication", "check sasl, or the secret that says who we are"),
    r"(?i)(topic|group) authorization failed": (
        "AccessDenied",
        "an ACL of the brokers, or with IAM a policy, has to allow it",
    ),
    r"instance ID is still used": (
        "UnreleasedInstanceId",
        "one that was killed keeps its group_instance_id until its session is over; two may not share one",
    ),
    r"Failed to resolve": (
        "unreachable",
        "a name that is not in bootstrap_servers is what a broker calls itself, in its advertised.listeners",
    ),
    r"Broker transport failure$": (
        "unreachable",
        "if they can be reached, they hang up: they may want tls or sasl, or neither of them",
    ),
}
"""By what is said: its code, and what to do."""

_PASSING = frozenset({"unreachable", "UnreleasedInstanceId"})

_FATAL = "Fatal error: "
_NUMBERS = {
    str(KafkaError(number).str()): number for number in vars(KafkaError).values() if isinstance(number, int)
}
"""By the client's words for them: why it ended with a fatal error it only says so."""


def is_fatal(error: KafkaError) -> bool:
    """Whether the client does nothing any more. Of one that a poll returns, `fatal()` says no."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL  # noqa: SLF001


def is_lasting(error: KafkaError) -> bool:
    """Whether trying again will not help before somebody has acted."""
    return problem_of(error).lasting


def reason_of(error: KafkaError) -> str:
    """In the client's own words."""
    text = str(error.str()).splitlines()[0] if error.str() else str(error.name())
    return _CHANGING.sub("", text)[:_LONGEST_TEXT]


def about(what: str, error: KafkaError) -> KafkaError:
    """The same, beginning with what it is about: brokers do not say."""
    return KafkaError(error.code(), f"{what}: {reason_of(error)}")


def problem_of(error: KafkaError) -> Disconnected:
    """As the engine acts on it."""
    reason = reason_of(error)
    number = _number_of(error, reason)
    for pattern, (code, cure) in _CURES.items():
        if re.search(pattern, reason):
            return Disconnected(code, f"{reason}: {cure}", lasting=code not in _PASSING)
    if number in UNREACHABLE:
        return Disconnected("unreachable", reason)
    return Disconnected(_CODES.get(number, KafkaError(number).name()), reason, lasting=number in _CODES)


def _number_of(error: KafkaError, reason: str) -> int:
    if error.code() != KafkaError._FATAL:  # noqa: SLF001
        return error.code()
    said = reason.removeprefix(_FATAL)
    return next((number for text, number in _NUMBERS.items() if said.startswith(f"{text}: ")), error.code())


@contextmanager
def translated() -> Iterator[None]:
    """What is raised inside as `Disconnected`."""
    try:
        yield
    except KafkaException as raised:
        raise problem_of(raised.args[0]) from None
