"""Servers of other people, each started here and called by a client."""
