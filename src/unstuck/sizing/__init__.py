"""`unstuck size`: what a model needs to be served at a rate, found by serving it under a container's limits."""
