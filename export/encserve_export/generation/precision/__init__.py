"""How the two graphs of a pipeline that generates get a precision, and on which texts they are looked at for it."""
