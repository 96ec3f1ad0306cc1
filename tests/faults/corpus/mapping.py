"""Deployments where the right values reach the wrong place."""

from corpus import (
    fresh_mapping,
    mapping_features,
    mapping_layout,
    mapping_more,
    mapping_places,
    more_dropped,
    more_turned,
    third_mapping,
    unseen_mapping,
)

CASES = [
    *mapping_features.CASES,
    *mapping_layout.CASES,
    *mapping_places.CASES,
    *mapping_more.CASES,
    *more_dropped.CASES,
    *more_turned.CASES,
    *fresh_mapping.CASES,
    *unseen_mapping.CASES,
    *third_mapping.CASES,
]
