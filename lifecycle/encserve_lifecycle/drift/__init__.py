"""Whether the texts of a window of time are of the kind that a baseline was frozen of, by sums of their vectors."""
