"""What the files of a checkpoint for late interaction say of queries and of documents: in ColBERT's first layout, in
PyLate's, and in that of sentence-transformers."""
