"""Servers around sentence-transformers, written as their frameworks' guides write them. `seq2seq` makes
texts in the environments of peers. Run as scripts."""
