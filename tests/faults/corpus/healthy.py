"""Healthy deployments, for which any verdict is a false alarm."""

from corpus import healthy_lookalikes, healthy_served, tricky_models

CASES = [*healthy_served.CASES, *healthy_lookalikes.CASES, *tricky_models.HEALTHY]
