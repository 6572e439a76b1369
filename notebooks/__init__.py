"""Notebooks for people who look before they read, and the figures that they show."""
