"""Of what the endpoint answered first: are its wrong answers, each of them, right ones that it had given before?

A feature that is lost, or in another's place, makes answers that belong to nobody. What a cache, a proxy or a buffer
gives again is the very answer of an earlier request, and never that of a later one.
"""

import time
from collections import Counter
from collections.abc import Sequence
from math import prod

import numpy as np

from unstuck.core.signatures import Tensors
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import EarlierAnswers
from unstuck.doctor.experiments.comparing import Ruler, digest, is_copy
from unstuck.doctor.experiments.endpoint_answers import Exchange, answers_of
from unstuck.doctor.experiments.endpoint_state import PREDICTS
from unstuck.doctor.experiments.sending import sendables
from unstuck.doctor.lab import Lab
from unstuck.errors import UnstuckError

SECONDS = 2.0  # of the local model


def earlier_answers(lab: Lab) -> EarlierAnswers | None:
    """The first calls' answers against the local model's; None where it does not run, or is too slow for all."""
    exchanges = [each for each in answers_of(lab) if each[1].outputs is not None and each[0].inputs]
    try:
        truths = _truths(lab, exchanges)
        knocked = {digest(call.inputs) for call in sendables(lab, PREDICTS) if call.inputs}
    except (NotRun, UnstuckError):
        return None
    if len(truths) < len(exchanges) or not exchanges:
        return None
    answers = [answer.outputs or {} for _, answer in exchanges]
    return compared([digest(call.inputs) for call, _ in exchanges], answers, truths, knocked)


def _truths(lab: Lab, exchanges: Sequence[Exchange]) -> list[Tensors]:
    if lab.question.model is None:
        return []
    until = time.monotonic() + SECONDS
    found: list[Tensors] = []
    for call, _ in exchanges:
        if time.monotonic() > until:
            break
        outputs = lab.model.run(call.signature, call.inputs)
        found.append({alias: np.asarray(value) for alias, value in outputs.items()})
    return found


def compared(
    inputs: Sequence[str], answers: Sequence[Tensors], truths: Sequence[Tensors], knocked: "set[str]"
) -> EarlierAnswers:
    """What the answers say.

    Args:
        inputs: a digest of each call's, in the order of the calls.
        answers: what came.
        truths: what the local model gives.
        knocked: digests of inputs that were asked before all others, too.
    """
    ruler = Ruler([*answers, *truths])
    own = [ruler.is_same(answer, truth) for answer, truth in zip(answers, truths, strict=True)]
    wrong = [at for at in range(len(inputs)) if ruler.is_apart(answers[at], truths[at])]
    sources: list[str] = []
    for at in wrong:
        before = (other for other in range(len(inputs)) if other < at or inputs[other] in knocked)
        source = next((other for other in before if own[other] and is_copy(answers[other], answers[at])), None)
        if source is not None:
            sources.append(inputs[source])
    firsts = [inputs.index(each) for each in dict.fromkeys(inputs)]
    return EarlierAnswers(
        calls=len(inputs),
        inputs=len(firsts),
        kinds=ruler.kinds([truths[at] for at in firsts]),
        wrong=len(wrong),
        earlier=len(sources),
        sources=len(set(sources)),
        chance=prod(1 / (1 + count) for count in Counter(sources).values()),
    )
