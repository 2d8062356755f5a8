"""Texts in, new texts out: the encoder, the decoder step by step, and how a token is chosen."""
