"""Merging concurrent calls into one run of the model, only where that is proven to change no answer."""
