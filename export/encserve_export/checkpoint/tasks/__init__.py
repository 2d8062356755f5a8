"""The tasks: what each needs of a network, which settings its steps get, and which options its requests."""
