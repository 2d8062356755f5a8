"""What is sent and when: texts, requests, arrivals, and the generator that keeps to them."""
