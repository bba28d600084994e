"""Real servers and clients for the tests, without containers: downloaded once, run on 127.0.0.1 as processes.

Tests use them through the fixtures of conftest.py; a new server is a new `Recipe` in `RECIPES`.
"""

from .elasticmq import ELASTICMQ
from .event_ruler import EVENT_RULER
from .install import Unavailable, installed, run_tool
from .kinesis_local import KINESIS_KEPT, KINESIS_LOCAL, KINESIS_LOCAL_KEEPING
from .ministack import MINISTACK
from .moto import MOTO
from .node_client import NODE_CLIENT
from .process import Server
from .queues import REGION, Queue, QueueMaker, sqs_client
from .recipe import Command, Package, Place, Recipe, Wanted
from .room import Room, do_without

RECIPES = (ELASTICMQ, MINISTACK)  # those that speak SQS
KINESIS_RECIPES = (KINESIS_LOCAL, MINISTACK)
DYNAMODB_RECIPES = (MINISTACK, MOTO)
PACKAGES = (NODE_CLIENT, EVENT_RULER)

__all__ = [
    "DYNAMODB_RECIPES",
    "ELASTICMQ",
    "EVENT_RULER",
    "KINESIS_KEPT",
    "KINESIS_LOCAL",
    "KINESIS_LOCAL_KEEPING",
    "KINESIS_RECIPES",
    "MINISTACK",
    "MOTO",
    "NODE_CLIENT",
    "PACKAGES",
    "RECIPES",
    "REGION",
    "Command",
    "Package",
    "Place",
    "Queue",
    "QueueMaker",
    "Recipe",
    "Room",
    "Server",
    "Unavailable",
    "Wanted",
    "do_without",
    "installed",
    "run_tool",
    "sqs_client",
]
