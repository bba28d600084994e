"""The discipline of queues: what is redelivered by its source is acknowledged record by record."""
