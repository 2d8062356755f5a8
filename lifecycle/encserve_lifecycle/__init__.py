"""The life of a model: what changes where one pipeline takes the place of another."""
