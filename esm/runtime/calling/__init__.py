"""The way to a target: who may call it, how many at once, and when it is left alone."""
