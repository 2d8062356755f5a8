"""GLiNER: entities of labels that a request brings, in the files of its own library."""
