"""Between bytes and tensors: pure functions, no sockets, no framework."""
