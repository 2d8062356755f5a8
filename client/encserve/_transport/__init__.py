"""The seam to the network, and the gRPC transports behind it."""
