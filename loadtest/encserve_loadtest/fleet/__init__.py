"""From the capacity of one replica to a fleet: how many, what they cost, and when to add one."""
