"""Deployments where the server does not do its work under its limits or its load."""

from corpus import (
    fresh_resources,
    resource_load,
    resource_memory,
    resource_replies,
    third_resources,
    unseen_resources,
)

CASES = [
    *resource_memory.CASES,
    *resource_load.CASES,
    *resource_replies.CASES,
    *fresh_resources.CASES,
    *unseen_resources.CASES,
    *third_resources.CASES,
]
