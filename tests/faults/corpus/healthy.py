"""Healthy deployments, for which any verdict is a false alarm."""

from corpus import (
    fresh_healthy,
    healthy_lookalikes,
    healthy_served,
    model_onnx,
    more_healthy,
    resource_metrics,
    third_healthy,
    tokens_live,
    tricky_models,
    unseen_healthy,
    with_profile,
)

CASES = [
    *healthy_served.CASES,
    *healthy_lookalikes.CASES,
    *tricky_models.HEALTHY,
    *model_onnx.HEALTHY,
    *resource_metrics.HEALTHY,
    *tokens_live.HEALTHY,
    *with_profile.HEALTHY,
    *more_healthy.CASES,
    *fresh_healthy.CASES,
    *unseen_healthy.CASES,
    *third_healthy.CASES,
]
