"""Event source mappings, self-hosted: records from queues and streams drive functions as AWS Lambda's do."""

__version__ = "0.1.0"
