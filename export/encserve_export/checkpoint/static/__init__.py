"""Static embeddings: a vector for each token, whatever stands beside it, and for a text the mean of its tokens'."""
