"""Vectors of parts of a text that is read whole: late chunking."""
