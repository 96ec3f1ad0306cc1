"""Experiments: each takes the lab and gives one kind of evidence."""
