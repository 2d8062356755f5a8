"""What becomes of a request: its responses, and what is counted and traced of it."""
