"""What of a queue's own settings will hurt the mapping that reads it. Pure."""

from collections.abc import Sequence

from esm.sources.sqs.queue import QueueFacts


def remarks(facts: QueueFacts, *, timeout: float, held: int) -> Sequence[str]:
    """One text for each. `timeout` is the target's, in seconds; `held` the most messages held at once.

    That the visibility timeout is no shorter than the function's is a condition of CreateEventSourceMapping
    (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
    """
    found = []
    if facts.max_receives is None:
        found.append(
            f"{facts.arn} has no redrive policy: a message that always fails is tried again until it is "
            f"{facts.retention / 86_400:g} days old; set a dead-letter queue and maxReceiveCount"
        )
    if facts.visibility == 0:
        found.append(
            f"{facts.arn} has a visibility timeout of 0: every message is delivered again while it is processed"
        )
    elif facts.visibility < timeout:
        found.append(
            f"the visibility timeout of {facts.arn} is {facts.visibility:g} s, shorter than the target's timeout "
            f"of {timeout:g} s: messages stay hidden only as long as the engine extends it; AWS advises 6 timeouts"
        )
    if held > facts.in_flight_limit:
        found.append(
            f"batch_size times concurrency is {held:,}, and {facts.arn} lets {facts.in_flight_limit:,} messages "
            "be in flight: the concurrency will not be reached"
        )
    return found
