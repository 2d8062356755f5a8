"""How numbers become the answers of a task, one module for each head."""
