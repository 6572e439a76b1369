"""What an example is: tasks, decoding, sources, splits, prepared arrays and drawn signs."""
