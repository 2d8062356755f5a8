"""What tells that texts have become others: how often by chance, and how soon."""
