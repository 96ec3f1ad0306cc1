"""Runnable comparisons: medians and ratios of servers measured in turn, in one run."""
