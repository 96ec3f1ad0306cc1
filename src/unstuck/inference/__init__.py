"""The use cases behind every API: they know no engine, no codec and no protocol."""
