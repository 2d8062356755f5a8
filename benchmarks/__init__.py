"""encserve beside its peers and beside what the machine can do at most: `python -m benchmarks --help`."""
