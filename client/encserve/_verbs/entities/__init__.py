"""Entities whose labels a call brings."""
