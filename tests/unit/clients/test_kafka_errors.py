"""What librdkafka says of brokers, as operators are told: a code, what it is about, and what to do."""

import pytest
from confluent_kafka import KafkaError

from esm.clients.kafka.errors import about, problem_of

OWN_NAME = "a name that is not in bootstrap_servers is what a broker calls itself, in its advertised.listeners"
SAID = {
    "b:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 7ms in state CONNECT)": (
        KafkaError._TRANSPORT,
        "unreachable",
        "b:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused",
    ),
    "b:1/3: SASL authentication error: no (after 358ms in state AUTH_REQ, 4 identical error(s) suppressed)": (
        KafkaError._AUTHENTICATION,
        "Authentication",
        "b:1/3: SASL authentication error: no: check sasl, or the secret that says who we are",
    ),
    "k-0:9092/1: Failed to resolve 'k-0:9092': Name or service not known (after 1ms in state CONNECT)": (
        KafkaError._RESOLVE,
        "unreachable",
        "k-0:9092/1: Failed to resolve 'k-0:9092': Name or service not known: " + OWN_NAME,
    ),
    'No such configuration property: "fetch.min.byte"': (
        KafkaError._INVALID_ARG,
        "InvalidArgument",
        'No such configuration property: "fetch.min.byte"',
    ),
}


@pytest.mark.parametrize(("said", "meant"), SAID.items(), ids=[code for _, code, _ in SAID.values()])
def test_the_same_problem_is_told_in_the_same_words_each_time(said: str, meant: tuple[int, str, str]) -> None:
    number, code, reason = meant
    problem = problem_of(KafkaError(number, said))
    assert (problem.code, problem.reason, problem.lasting) == (code, reason, code != "unreachable")


def test_what_it_is_about_stands_first_and_changes_no_code() -> None:
    error = about("topic ordres", KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    problem = problem_of(error)
    assert (problem.code, problem.lasting) == ("NonExistentTopic", True)
    assert problem.reason.startswith("topic ordres: Broker: Unknown topic")


def test_a_name_that_somebody_else_has_is_free_after_a_session() -> None:
    said = "Fatal error: Broker: The instance ID is still used by another member in the consumer group: ..."
    problem = problem_of(KafkaError(KafkaError._FATAL, said))
    assert (problem.code, problem.lasting) == ("UnreleasedInstanceId", False)


@pytest.mark.parametrize(
    ("cause", "code", "lasting"),
    [
        (KafkaError.FENCED_INSTANCE_ID, "FencedInstanceId", True),
        (KafkaError.UNSUPPORTED_VERSION, "UnsupportedVersion", True),
        (KafkaError.INVALID_GROUP_ID, "InvalidGroupId", True),
        (KafkaError.INCONSISTENT_GROUP_PROTOCOL, "InconsistentGroupProtocol", True),
        (KafkaError.GROUP_MAX_SIZE_REACHED, "GROUP_MAX_SIZE_REACHED", False),
    ],
)
def test_a_fatal_error_is_told_by_its_cause(cause: int, code: str, *, lasting: bool) -> None:
    """Which a poll returns in words only."""
    text = KafkaError(cause).str()
    said = f"Fatal error: {text}: ConsumerGroupHeartbeat fatal error: {text}"
    problem = problem_of(KafkaError(KafkaError._FATAL, said))
    assert (problem.code, problem.lasting) == (code, lasting)


def test_a_fatal_error_of_another_kind_has_its_own_name() -> None:
    assert problem_of(KafkaError(KafkaError._FATAL, "Fatal error: something new")).code == "_FATAL"
