"""One Triton on this host: started with what the repository says is active, and stopped so that nothing of it stays."""
