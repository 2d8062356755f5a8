"""How the texts of a pack attend, family by family: each within itself, whatever else is in the pack."""
