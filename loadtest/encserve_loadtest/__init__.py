"""Capacity planning for encoders on Triton: what one replica holds, how many are needed, what a million texts cost."""
