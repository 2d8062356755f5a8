"""The layout of a model repository, and how its files are read and written without loss."""
