"""Measurements that are not tests: ratios within one run."""
