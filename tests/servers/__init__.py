"""Real servers and clients for the tests, without containers: downloaded once, run on 127.0.0.1 as processes.

Tests use them through the fixtures of conftest.py; a new server is a new `Recipe` in `RECIPES`.
"""

from .authority import OPENSSL, Authority
from .elasticmq import ELASTICMQ
from .event_ruler import EVENT_RULER
from .install import Unavailable, installed, run_tool
from .kafka import KAFKA
from .kafka_cluster import KafkaCluster
from .kafka_mock import KAFKA_MOCK, MockKafka, Request, mock_kafka
from .kafka_secured import PASSWORDS, SecuredKafka, unsecured_token
from .kinesis_local import KINESIS_KEPT, KINESIS_LOCAL, KINESIS_LOCAL_KEEPING
from .ministack import MINISTACK
from .moto import MOTO
from .node_client import NODE_CLIENT
from .noida import NOIDA
from .process import Server, free_port
from .queues import REGION, Queue, QueueMaker, sqs_client
from .recipe import Command, Package, Place, Recipe, Wanted
from .room import Room, do_without
from .topics import Committed, Record, Topic, TopicMaker

RECIPES = (ELASTICMQ, MINISTACK)  # those that speak SQS
KINESIS_RECIPES = (KINESIS_LOCAL, MINISTACK)
DYNAMODB_RECIPES = (MINISTACK, MOTO)
KAFKA_RECIPES = (KAFKA, NOIDA)
PACKAGES = (NODE_CLIENT, EVENT_RULER, KAFKA_MOCK)

__all__ = [
    "DYNAMODB_RECIPES",
    "ELASTICMQ",
    "EVENT_RULER",
    "KAFKA",
    "KAFKA_MOCK",
    "KAFKA_RECIPES",
    "KINESIS_KEPT",
    "KINESIS_LOCAL",
    "KINESIS_LOCAL_KEEPING",
    "KINESIS_RECIPES",
    "MINISTACK",
    "MOTO",
    "NODE_CLIENT",
    "NOIDA",
    "OPENSSL",
    "PACKAGES",
    "PASSWORDS",
    "RECIPES",
    "REGION",
    "Authority",
    "Command",
    "Committed",
    "KafkaCluster",
    "MockKafka",
    "Package",
    "Place",
    "Queue",
    "QueueMaker",
    "Recipe",
    "Record",
    "Request",
    "Room",
    "SecuredKafka",
    "Server",
    "Topic",
    "TopicMaker",
    "Unavailable",
    "Wanted",
    "do_without",
    "free_port",
    "installed",
    "mock_kafka",
    "run_tool",
    "sqs_client",
    "unsecured_token",
]
