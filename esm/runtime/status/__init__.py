"""What the mappings are doing, as operators see it."""
