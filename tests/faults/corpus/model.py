"""Faults of the model itself, whoever serves it; ``check`` of ``model_case`` proves that each shows."""

from corpus import (
    fresh_model,
    model_activations,
    model_inputs,
    model_more,
    model_onnx,
    model_outputs,
    model_weights,
    third_model,
    unseen_model,
    with_profile,
)

FAULTS = [*model_inputs.FAULTS, *model_activations.FAULTS, *model_weights.FAULTS, *model_outputs.FAULTS]
CASES = [
    *(fault.case() for fault in FAULTS),
    *model_more.CASES,
    *model_onnx.FAULTS,
    *with_profile.OF_MODEL,
    *fresh_model.CASES,
    *unseen_model.CASES,
    *third_model.CASES,
]
