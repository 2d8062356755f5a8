"""What of a checkpoint's files nobody reads, and why it may be passed over."""
