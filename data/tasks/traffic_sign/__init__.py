"""German traffic signs: what only this task needs."""
