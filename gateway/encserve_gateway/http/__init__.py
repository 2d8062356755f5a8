"""HTTP without a framework: requests with limits, bodies, responses. Nothing here knows what is asked."""
