"""The two ways to do what a conversation asks for: on threads, and in an event loop."""
