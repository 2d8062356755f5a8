"""What operators see of requests: numbers and traces, neither of which has a text of a caller."""
