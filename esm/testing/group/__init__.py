"""A topic and its consumer group in memory, and what every `GroupSource` must do."""
