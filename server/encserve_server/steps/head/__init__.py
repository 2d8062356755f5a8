"""The head step: what the network gave in, answers out."""
