"""One running instance of a step: its settings, what it counts, and what it says of its load."""
