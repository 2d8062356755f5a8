"""What this host has: a Triton, a GPU, a processor; and whether that is what the Triton and the pipelines need."""
