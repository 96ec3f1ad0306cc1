"""Which versions live: where they come from, their states, and the lookup from a request to one that serves."""
