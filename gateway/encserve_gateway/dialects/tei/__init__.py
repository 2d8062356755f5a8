"""Hugging Face's text-embeddings-inference, as version 1.9 answers.

What differs from it: a request may have `max_texts` texts, where TEI has 32; ids of tokens are refused, and `/tokenize`
and `/decode` are not served, since pipelines take and give text; `raw_scores` are not known.
"""
