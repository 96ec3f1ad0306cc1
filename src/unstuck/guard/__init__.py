"""Says no early: who may call, how much may come in, what may be loaded."""
