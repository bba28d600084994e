"""Decisions, pure: values and `now` in, values out. No clock, randomness, logging, I/O or vendor."""
