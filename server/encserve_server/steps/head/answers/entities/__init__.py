"""Heads of entities: parts of a text with a label."""
