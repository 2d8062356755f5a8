"""Checkpoints whose configuration names Python code of their own, and whose network transformers has under another
name: their configuration is written down again in its terms, and no such code is run."""
