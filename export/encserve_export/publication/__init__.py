"""From certified files to a version in a model repository."""
