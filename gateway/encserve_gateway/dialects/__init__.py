"""One file for each dialect: what its requests ask of a pipeline, and the form in which its clients read the answer."""
