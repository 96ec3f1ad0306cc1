"""Deployments where the right values reach the wrong place."""

from corpus import mapping_features, mapping_layout, mapping_more, mapping_places

CASES = [*mapping_features.CASES, *mapping_layout.CASES, *mapping_places.CASES, *mapping_more.CASES]
