"""What clients send, as random bytes: every decoder takes it, or refuses it with an error of ours."""
