"""AWS's options of an event source mapping: which kind of source takes which, and what AWS says when it refuses.

From the pages "Lambda parameters" of each source in the AWS Lambda Developer Guide and from the API's model. The
values themselves are checked by the models; here is only what needs the kind of source to be known.
"""

from dataclasses import dataclass

from esm.plugins import Kind

BATCH_WITHOUT_WINDOW = (
    "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
)
ON_SUCCESS = "Unsupported DestinationConfig parameter for given event source mapping type."
NO_SOURCE = "Unrecognized event source."
SYNCHRONOUS_ONLY = (
    "a mapping invokes synchronously; asynchronous (Event) invocation is another feature of AWS Lambda"
)
NO_POSITION = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
NO_TUMBLING = "is not in this version, which has no tumbling windows: leave it away, or set it to 0"


def duplicate(kind: Kind, arn: str, function: str, uuid: str) -> str:
    """What AWS says of a second mapping of the same queue or stream to the same function."""
    ends = f'arn (" {arn} ") and function (" {function} ")'
    queue = f"An event source mapping with SQS {ends} already exists."
    said = queue if kind in QUEUES else f"The event source {ends} provided mapping already exists."
    return f"{said} Please update or delete the existing mapping with UUID {uuid}"


QUEUES = (Kind.SQS, Kind.FIFO)
STREAMS = (Kind.KINESIS, Kind.DYNAMODB)
KAFKAS = (Kind.MSK, Kind.KAFKA)
LOGS = (*STREAMS, *KAFKAS)
BROKERS = (Kind.ACTIVEMQ, Kind.RABBITMQ)
CALLED = {
    Kind.SQS: "SQS standard queues",
    Kind.FIFO: "SQS FIFO queues",
    Kind.KINESIS: "Kinesis streams",
    Kind.MSK: "topics of Amazon MSK",
    Kind.KAFKA: "topics of self-managed Kafka",
}
"""How many of a kind are spoken of, where its name alone is no plural."""

_ALL = tuple(Kind)
_NOT_DOCUMENTDB = tuple(kind for kind in Kind if kind is not Kind.DOCUMENTDB)


@dataclass(frozen=True, slots=True)
class AwsOption:
    """An option in snake_case, as in Terraform. `instead`: what to use where it is not supported."""

    name: str
    kinds: tuple[Kind, ...]
    instead: str = ""


AWS_OPTIONS = {
    option.name: option
    for option in (
        AwsOption("enabled", _ALL),
        AwsOption("batch_size", _ALL),
        AwsOption("maximum_batching_window_in_seconds", tuple(kind for kind in Kind if kind is not Kind.FIFO)),
        AwsOption("function_response_types", (*QUEUES, *STREAMS, *KAFKAS)),
        AwsOption("filter_criteria", _NOT_DOCUMENTDB),
        AwsOption("kms_key_arn", _NOT_DOCUMENTDB),
        AwsOption("scaling_config", QUEUES, "parallelization_factor"),
        AwsOption("provisioned_poller_config", (*QUEUES, *KAFKAS)),
        AwsOption("metrics_config", (*QUEUES, *STREAMS, *KAFKAS)),
        AwsOption("logging_config", KAFKAS),
        AwsOption("tags", _ALL),
        AwsOption("parallelization_factor", LOGS, "scaling_config.maximum_concurrency"),
        AwsOption("starting_position", (*STREAMS, *KAFKAS, Kind.DOCUMENTDB)),
        AwsOption("starting_position_timestamp", (Kind.KINESIS, *KAFKAS, Kind.DOCUMENTDB)),
        AwsOption("maximum_retry_attempts", (*STREAMS, *KAFKAS), "maxReceiveCount of the queue's redrive policy"),
        AwsOption("maximum_record_age_in_seconds", (*STREAMS, *KAFKAS), "the queue's message retention"),
        AwsOption("bisect_batch_on_function_error", (*STREAMS, *KAFKAS), "function_response_types"),
        AwsOption("destination_config", (*STREAMS, *KAFKAS), "the queue's redrive policy"),
        AwsOption("tumbling_window_in_seconds", STREAMS),
        AwsOption("topics", KAFKAS),
        AwsOption("queues", BROKERS),
        AwsOption("source_access_configurations", (*KAFKAS, *BROKERS, Kind.DOCUMENTDB)),
        AwsOption("self_managed_event_source", (Kind.KAFKA,)),
        AwsOption("amazon_managed_kafka_event_source_config", (Kind.MSK,)),
        AwsOption("self_managed_kafka_event_source_config", (Kind.KAFKA,)),
        AwsOption("document_db_event_source_config", (Kind.DOCUMENTDB,)),
    )
}

# Accepted with one warning each, whatever the source, so that a template works as it is pasted.
WITHOUT_MEANING = {
    "kms_key_arn": "nothing of the mapping is stored by a service that could encrypt it",
    "tags": "a mapping is no AWS resource here",
    "metrics_config": "all metrics are always on, at /metrics",
    "logging_config": "set the level with `log: {level: …}`",
}
OF_TOPICS_WITHOUT_MEANING = {
    "provisioned_poller_config": "each process reads the partitions that the group gives it with one consumer",
}
VPC_ACCESS = {"VPC_SUBNET", "VPC_SECURITY_GROUP"}

# What AWS names below another option, and people look for at the top.
BELOW = {
    "maximum_concurrency": "scaling_config",
    "minimum_pollers": "provisioned_poller_config",
    "maximum_pollers": "provisioned_poller_config",
    "filters": "filter_criteria",
    "on_failure": "destination_config",
    "bootstrap_servers": "source",
    "consumer_group_id": "source",
    "topic": "source",
}

# Sources of AWS by the service of their ARN, for a clear word about those this version does not have.
SERVICES = {
    "kinesis": "Kinesis",
    "dynamodb": "DynamoDB Streams",
    "mq": "Amazon MQ",
    "rds": "DocumentDB",
}
