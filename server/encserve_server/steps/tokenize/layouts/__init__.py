"""How the texts of a task become rows of tokens, one module for each layout."""
