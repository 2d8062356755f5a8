"""May one pipeline take the place of another? Both are asked about the same texts, and what differs is counted."""
