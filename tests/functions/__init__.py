"""Functions for the tests: in Python, and behind HTTP."""
