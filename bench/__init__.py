"""Measurements: of the service against other ways to serve, and of the training's input."""
