"""How much one replica holds at a latency: from runs at several rates to a capacity and its interval."""
