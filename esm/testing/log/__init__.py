"""A log in memory, and what every `LogSource` must do."""
