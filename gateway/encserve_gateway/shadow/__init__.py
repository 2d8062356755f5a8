"""A share of the traffic, asked again of a candidate: how its answers differ is counted, and they are forgotten."""
