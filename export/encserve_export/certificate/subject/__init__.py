"""The pipeline that is certified: its steps composed in this process, and asked side by side with the library."""
