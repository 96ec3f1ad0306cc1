"""What a loaded version must pass before it serves: warm-up requests, golden rows."""
