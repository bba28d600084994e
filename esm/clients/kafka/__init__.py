"""What everything that speaks Kafka's protocol shares: how to reach brokers, and what their errors mean."""

from esm.clients.kafka.errors import (
    NO_TOPIC,
    OF_ONE_BROKER,
    is_fatal,
    is_lasting,
    problem_of,
    reason_of,
    translated,
)

__all__ = ["NO_TOPIC", "OF_ONE_BROKER", "is_fatal", "is_lasting", "problem_of", "reason_of", "translated"]
