"""Serving a SavedModel by the faster of two engines: converted, proven to answer alike, measured, and switched."""
