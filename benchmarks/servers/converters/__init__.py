"""Scripts by which peers make their form of the checkpoint, for the Python of their own environment."""
