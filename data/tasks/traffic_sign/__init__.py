"""The task of German traffic signs: labels, settings and drawings."""
