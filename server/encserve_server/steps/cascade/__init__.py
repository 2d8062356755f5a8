"""The cascade step: texts to a small pipeline, and to a large one where the small one is unsure."""
