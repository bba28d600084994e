"""The discipline of logs: what we replay ourselves is acknowledged by position."""
