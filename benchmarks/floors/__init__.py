"""Plain loops that a user would write by hand: the floors that the engine is measured against."""
