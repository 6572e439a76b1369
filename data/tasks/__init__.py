"""One folder for each task."""
