"""Two features, moved one by one, for the cases of checks."""

from unstuck.doctor.evidence.feature_map import EndpointSensitivity, FeatureEffect, Sensitivity


def _moved(moved: int, *, is_input: bool = True) -> list[FeatureEffect]:
    told = {"input": "x", "is_input": is_input, "trials": 12, "effect": 0.5}
    return [
        FeatureEffect.model_validate(told | {"feature": "a", "moved": 12}),
        FeatureEffect.model_validate(told | {"feature": "b", "moved": moved, "effect": 0.5 * bool(moved)}),
    ]


def endpoint(moved: int, *, is_input: bool = True) -> EndpointSensitivity:
    """An endpoint whose answers the feature b moved in ``moved`` of 12 trials."""
    return EndpointSensitivity(source="requests", rows=6, distinct=6, features=_moved(moved, is_input=is_input))


MODEL = Sensitivity(source="requests", rows=6, distinct=6, features=_moved(12))
