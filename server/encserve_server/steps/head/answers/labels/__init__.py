"""Heads of scores that a whole text or pair has, for each label or alone."""
