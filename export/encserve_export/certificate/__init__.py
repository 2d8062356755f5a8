"""Measuring a pipeline against the checkpoint, when it is made and where it is served."""
