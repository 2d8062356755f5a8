"""The linear layers of a graph: what they are fed, which of them are rounded, and how far each is off then."""
