"""How versions come into a repository and go out of it: whole, by a journal, and touching nothing of others."""
