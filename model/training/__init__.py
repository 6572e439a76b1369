"""From a data set to an artifact, with Keras. Serving never imports this package."""
