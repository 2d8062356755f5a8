"""How numbers become 8-bit integers: matrices, rows with a scale each, and rows with one scale for all."""
