"""Where the rows of lanes are kept: lease and checkpoint of each in one row, every write a compare-and-set."""
