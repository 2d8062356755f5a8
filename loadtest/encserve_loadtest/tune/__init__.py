"""Other server settings, and whether one of them is better than noise."""
