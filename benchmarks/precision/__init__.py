"""What a precision costs in quality, and what it is worth in time."""
