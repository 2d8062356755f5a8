"""Vectors of texts, sparse vectors and vectors of tokens that come of one pass, and how texts are scored by them."""
