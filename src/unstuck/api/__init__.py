"""The protocols: parse, call one use case, encode, map errors."""
