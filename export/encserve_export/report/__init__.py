"""The page that shows what the certificates of a pipeline measured."""
