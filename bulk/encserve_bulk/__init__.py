"""Bulk jobs: files of texts in, files of answers out, exactly one row for each id, and a killed job goes on."""
