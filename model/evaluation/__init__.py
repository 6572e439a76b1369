"""How good a classifier is: metrics, corruptions, comparisons and reports. Serving never imports this package."""
