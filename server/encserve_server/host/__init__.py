"""What this host has (a Triton, a GPU, a processor, addresses), and whether Triton and the pipelines can run on it."""
