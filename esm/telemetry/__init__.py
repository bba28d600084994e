"""How the engine shows itself: log lines and metrics, each a subscriber to happenings."""
