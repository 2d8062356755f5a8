"""What the planner can be trusted in: coverage of its interval, its generator, and what no machine can beat."""
