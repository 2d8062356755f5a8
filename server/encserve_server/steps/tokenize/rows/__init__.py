"""Rows of tokens: special tokens around texts, what of a text is kept, windows, and the packing of rows end to end."""
