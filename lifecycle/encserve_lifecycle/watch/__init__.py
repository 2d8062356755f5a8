"""Whether a version that takes the place of another does worse, by what the server counts of both, however often it is
looked at."""
