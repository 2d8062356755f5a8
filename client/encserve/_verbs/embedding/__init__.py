"""The verbs that give vectors: of texts, of their tokens, of their parts, and sparse ones."""
