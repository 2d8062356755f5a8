"""Rewriting a traced FP32 graph in another precision."""
