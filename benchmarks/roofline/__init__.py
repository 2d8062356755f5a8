"""What a machine can multiply, and what a network asks it to."""
