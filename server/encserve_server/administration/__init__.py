"""The administration of a server that runs: loading a model, and putting one version in the place of another."""
