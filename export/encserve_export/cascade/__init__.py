"""Two classifiers to one pipeline: a small one, and a large one where the small one is unsure."""
