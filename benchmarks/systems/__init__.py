"""One module for each kind of system under measurement; each has a class `System`, see `benchmarks.peers.worker`."""
