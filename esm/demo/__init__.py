"""`esm demo`: queues, a stream, a table and a real engine on this machine, and an account of what became of all.

Everything here stands outside the engine. It starts `esm run` as anybody would, feeds the sources, and counts
from what the function wrote down and what the queues still hold, never from the engine's own figures.
"""

from esm.demo.failures import DemoFailed
from esm.demo.play import Demo, interruptible, play

__all__ = ["Demo", "DemoFailed", "interruptible", "play"]
