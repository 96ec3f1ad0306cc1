"""What the experiments found: frozen values of numbers and names, which can be written to a file and read again."""
