"""What the library says of a checkpoint, in a process of its own that imports nothing else of encserve.

The certificate compares a pipeline with `sentence-transformers` and `transformers` as anybody would call them. A
mistake in how encserve reads a checkpoint cannot hide here, because none of that code is in this process.
"""
