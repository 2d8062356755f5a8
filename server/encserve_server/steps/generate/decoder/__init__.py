"""The decoder round by round: its graphs, the rows of texts that share a step, and what is kept of each."""
