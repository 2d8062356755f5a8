"""Where the sentences and the words of a text begin and end."""
