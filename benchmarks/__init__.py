"""What one message costs: the engine beside the plain loops a user would write, in the same run.

Nothing in here is part of the installed package. `python -m benchmarks` runs everything; README.md says
what is measured and how.
"""
