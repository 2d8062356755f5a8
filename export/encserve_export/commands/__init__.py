"""The commands export, verify and report."""
