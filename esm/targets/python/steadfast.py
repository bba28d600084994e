"""Loaded first into the process that the workers are forked from, and nowhere else.

A supervisor that ends a whole process group means the engine, which drains first. If the fork server died of
that signal, every worker would end with it, in the middle of its call.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
