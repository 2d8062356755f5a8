"""How quiet the machine was on which a plan was measured."""
