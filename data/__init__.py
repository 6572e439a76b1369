"""Examples: tasks, decoding, sources, splits, prepared arrays and drawings."""
