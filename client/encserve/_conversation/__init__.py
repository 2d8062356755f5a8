"""What a client says to a server and makes of the answers, without I/O: generators that yield what is to be done."""
