"""What a classifier is: network, training, evaluation, the artifact and inference."""
