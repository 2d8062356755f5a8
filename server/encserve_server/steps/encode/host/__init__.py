"""What a machine offers to an encode step, and what a version asks of it."""
