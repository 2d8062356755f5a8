"""Servers around sentence-transformers, written as their frameworks' guides write them. Run as scripts."""
