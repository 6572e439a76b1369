"""Training with Keras, from a data set to an artifact. Serving never imports this package."""
