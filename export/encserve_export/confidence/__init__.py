"""How often a label is right whose score is so high: fitted on texts whose labels are known."""
