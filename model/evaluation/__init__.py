"""Evaluation of classifiers: metrics, corruptions, comparisons and reports. Serving never imports this package."""
