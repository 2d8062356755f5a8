"""What runs the encode step: one object for each engine."""
