"""Checkpoints whose configuration names Python code of their own, and whose network is there all the same: transformers
has it under another name, or encserve wrote it down. Their configuration is put in the terms of that, and no such code
is run."""
