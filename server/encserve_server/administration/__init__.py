"""What an operator tells a server that runs: to load a model, or to put one version in the place of another."""
