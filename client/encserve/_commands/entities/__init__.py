"""Commands about entities whose labels a call brings."""
