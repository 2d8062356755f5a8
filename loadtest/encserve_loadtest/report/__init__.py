"""What people read of a plan: the verdict in words, the page and its charts, the JSON."""
