"""Heads of vectors: of texts, of tokens, of terms."""
