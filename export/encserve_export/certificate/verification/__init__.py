"""A running server, asked again what its pipeline was certified with."""
