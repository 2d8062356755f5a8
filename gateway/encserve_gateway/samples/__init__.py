"""Texts of callers whose keys ask for it: a share of them, scrubbed, for a time. Without it none is written."""
