"""Classifiers: artifacts, inference, training and evaluation."""
