"""Who comes in: whose turn it is, for whom there is room and time, and who is refused."""
