"""Requests whose inputs have the sizes that the signature declares, on other axes."""

import itertools
from collections import Counter

from unstuck.core.signatures import Shape
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_profile import RequestShapes, Turned
from unstuck.doctor.lab import Lab


def run(lab: Lab) -> RequestShapes:
    """Raises NotRun where no request can be bound to the signature."""
    requests = [each for each in lab.requests if each.inputs and each.signature == lab.signature.name]
    if not requests:
        raise NotRun("no request fits the signature")
    found: Counter[tuple[str, tuple[int, ...], tuple[int, ...]]] = Counter()
    for request in requests:
        for alias, values in request.inputs.items():
            spec = lab.signature.inputs.get(alias)
            axes = turned(values.shape, spec.shape) if spec is not None else None
            if axes is not None:
                found[alias, axes, values.shape[1:]] += 1
    return RequestShapes(
        requests=len(requests),
        turned=[
            Turned(
                input=alias,
                axes=list(axes),
                sent=list(sent),
                declared=[size or -1 for size in (lab.signature.inputs[alias].shape or ())[1:]],
                count=count,
            )
            for (alias, axes, sent), count in found.most_common(4)
        ],
    )


def turned(sent: tuple[int, ...], declared: Shape | None) -> tuple[int, ...] | None:
    """The order of the axes in which ``sent`` has the declared sizes; None where it has them as it is, or never."""
    if declared is None or len(sent) != len(declared) or len(sent) < 3:
        return None
    for axes in itertools.permutations(range(1, len(sent))):
        order = (0, *axes)
        if all(size in (None, sent[axis]) for size, axis in zip(declared, order, strict=True)):
            return None if order == tuple(range(len(sent))) else order
    return None
