"""Low-rank adapters of a checkpoint, read from the files of PEFT."""
