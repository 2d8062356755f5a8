"""GLiNER2: of its networks the entities of labels that a request brings."""
