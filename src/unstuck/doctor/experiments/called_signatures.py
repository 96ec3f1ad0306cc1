"""Which signatures are called, which gives the golden answers, and which the answers that came are of."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from unstuck.core.signatures import Signature, TensorSpec
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.replay import CalledSignatures
from unstuck.doctor.experiments.endpoint_answers import answers_of, row_answers
from unstuck.doctor.experiments.endpoint_replay import bound
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.experiments.explaining import Matcher, Run, paired
from unstuck.doctor.experiments.parallel import calls_at_once
from unstuck.doctor.experiments.running import EndpointRunner, ModelRunner, gathered
from unstuck.doctor.experiments.transformations import Array
from unstuck.doctor.given import Golden, read_golden
from unstuck.doctor.lab import Lab, rows_of
from unstuck.errors import SetupError, UnstuckError

ROWS = 12
MAX_SIGNATURES = 5
ENOUGH = 0.95  # of the golden rows


def run(lab: Lab) -> CalledSignatures:
    """Raises NotRun where there is nothing to tell signatures apart by."""
    signatures = lab.signatures
    asked = lab.signature
    wrong, rows, golden = _golden(lab, asked, signatures)
    answered = _misfits(lab, asked)
    fits = [name for name, each in signatures.items() if answered and name != asked.name and _fits(answered, each)]
    return CalledSignatures(
        asked=asked.name,
        called=_called(lab),
        golden=golden,
        wrong=wrong,
        rows=rows,
        answered={alias: str(spec) for alias, spec in answered.items()},
        declared={alias: str(spec) for alias, spec in asked.outputs.items()} if answered else {},
        fits=fits,
    )


def _called(lab: Lab) -> dict[str, int]:
    if lab.question.requests is None:
        return {}
    return dict(Counter(each.signature for each in lab.requests))


def _golden(lab: Lab, asked: Signature, signatures: Mapping[str, Signature]) -> tuple[int, int, list[str]]:
    """How many golden rows ``asked`` answers otherwise, of how many, and the signatures that answer as they say."""
    if lab.question.golden is None:
        return 0, 0, []
    found: list[str] = []
    wrong, compared = 0, 0
    others = [each for name, each in signatures.items() if name != asked.name][:MAX_SIGNATURES]
    for signature in [asked, *others]:
        share, rows = _share(lab, signature, asked)
        if share >= ENOUGH and rows:
            found.append(signature.name)
        if signature is asked:
            wrong, compared = round((1 - share) * rows), rows
    return wrong, compared, found


def _share(lab: Lab, signature: Signature, asked: Signature) -> tuple[float, int]:
    """The share of golden rows that ``signature`` answers as they say, and how many were compared."""
    rows = [
        pair
        for each in _read(lab, signature, asked)
        for pair in zip(rows_of(each.inputs), rows_of(each.outputs), strict=False)
    ]
    pool = gathered(rows, ROWS)
    if pool is None:
        return 0.0, 0
    inputs = bound(pool[0], signature)
    outputs = _runner(lab, signature)(inputs) if inputs is not None else None
    truth = pool[1]
    count = len(next(iter(truth.values())))
    if outputs is None or not (shared := paired(truth, outputs)):
        return 0.0, count
    if any(np.shape(truth[alias]) != np.shape(outputs[other]) for alias, other in shared.items()):
        return 0.0, count
    return float(Matcher(truth, outputs).same(outputs).mean()), count


def _read(lab: Lab, signature: Signature, asked: Signature) -> list[Golden]:
    """The golden rows by the signature's own inputs, or else by those of the one asked for."""
    assert lab.question.golden is not None
    for each in (signature, asked):
        try:
            return read_golden(lab.question.golden, each)
        except SetupError:
            continue
    return []


def _runner(lab: Lab, signature: Signature) -> Run:
    if lab.question.model is not None:
        return ModelRunner(lab.model, signature)
    return EndpointRunner(serving(lab), signature, ROWS, at_once=calls_at_once(lab))


def _misfits(lab: Lab, asked: Signature) -> dict[str, TensorSpec]:
    """The outputs that the endpoint answered, as specs, where they cannot be those that ``asked`` declares."""
    if not lab.question.target:
        return {}
    try:
        exchanges = [each for each in answers_of(lab) if each[0].signature.name == asked.name]
        declared = lab.endpoint.signatures().get(asked.name, asked)
    except (NotRun, UnstuckError):
        return {}
    rows = row_answers(exchanges)
    if not rows:
        return {}
    outputs = rows[0][1]
    if all(alias in declared.outputs and _is_of(values, declared.outputs[alias]) for alias, values in outputs.items()):
        return {}
    return {alias: _spec(alias, values, declared) for alias, values in outputs.items()}


def _is_of(values: Array, spec: TensorSpec) -> bool:
    if spec.shape is None:
        return True
    return len(spec.shape) == values.ndim and all(
        size in (None, got) for size, got in zip(spec.shape[1:], values.shape[1:], strict=True)
    )


def _spec(alias: str, values: Array, declared: Signature) -> TensorSpec:
    known = declared.outputs.get(alias) or next(iter(declared.outputs.values()))
    return TensorSpec(alias, "", known.dtype, (None, *values.shape[1:]))


def _fits(answered: Mapping[str, TensorSpec], signature: Signature) -> bool:
    """Whether a signature's outputs have the shapes that were answered; REST does not name a lone output."""
    lone = len(answered) == 1 and len(signature.outputs) == 1
    for alias, spec in answered.items():
        own = next(iter(signature.outputs.values())) if lone else signature.outputs.get(alias)
        if own is None or spec.shape is None or not _is_of(np.empty((1, *(size or 0 for size in spec.shape[1:]))), own):
            return False
    return True
