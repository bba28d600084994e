"""The rules of queues: what is read, held and settled."""
