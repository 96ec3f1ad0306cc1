"""`unstuck bench`: how many requests a server answers, and how fast."""
