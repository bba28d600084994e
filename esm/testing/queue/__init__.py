"""A queue in memory, and what every `QueueSource` must do."""
