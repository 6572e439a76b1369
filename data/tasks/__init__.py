"""Tasks, each in a folder of its own."""
