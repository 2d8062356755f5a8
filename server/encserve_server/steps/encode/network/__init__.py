"""A packed graph in a runtime, and how a batch is cut for it."""
