"""The certificate of a pipeline that generates, what is kept of it, and how a server is asked for it again."""
