"""Real servers for the tests, without containers: downloaded once, run on 127.0.0.1 as processes.

Tests use them through the fixtures of conftest.py; a new server is a new `Recipe` in `RECIPES`.
"""

from .elasticmq import ELASTICMQ
from .install import Unavailable, installed, run_tool
from .ministack import MINISTACK
from .process import Server
from .queues import REGION, Queue, QueueMaker, sqs_client
from .recipe import Command, Place, Recipe
from .room import Room, do_without

RECIPES = (ELASTICMQ, MINISTACK)

__all__ = [
    "ELASTICMQ",
    "MINISTACK",
    "RECIPES",
    "REGION",
    "Command",
    "Place",
    "Queue",
    "QueueMaker",
    "Recipe",
    "Room",
    "Server",
    "Unavailable",
    "do_without",
    "installed",
    "run_tool",
    "sqs_client",
]
