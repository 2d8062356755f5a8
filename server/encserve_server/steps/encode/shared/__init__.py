"""Rows that several servers share: a cache in Valkey or Redis behind the recent rows of each."""
