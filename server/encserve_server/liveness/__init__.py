"""Whether a server does its work: asked as a caller would, watched, and started again where it does not."""
