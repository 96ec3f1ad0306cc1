"""Several processes behind one port: starts the workers, watches them, starts them again, and speaks to all of them."""
