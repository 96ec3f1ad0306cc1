"""Does the server prepare what clients send? Its answers are then the model's to prepared requests, not to these."""

from collections.abc import Mapping

import numpy as np

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.evidence.profile import ProfileComparison
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.experiments.endpoint_answers import answers_of, row_answers
from unstuck.doctor.experiments.explaining import Matcher, gaps, paired
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.experiments.running import ModelRunner, gathered
from unstuck.doctor.experiments.server_metrics import pipeline_of
from unstuck.doctor.experiments.transformations import Array, Arrays
from unstuck.doctor.lab import Lab

ROWS = 40


def run(lab: Lab) -> ServerPreparation:
    """Raises NotRun where there is no endpoint, or nothing says how requests would have to be prepared."""
    if not lab.question.target:
        raise NotRun("no TARGET was given")
    changes = _changes(lab)
    done = {alias: each.name for alias, each in changes.items()}
    # Where the local model has the pipeline, too, requests and training are both as they are before it.
    if changes and not lab.has_pipeline and _training_is_ready(lab) and (pipeline := pipeline_of(lab)):
        return ServerPreparation(pipeline=pipeline, inputs=done)
    exchanges = [each for each in answers_of(lab) if each[0].signature.name == lab.signature.name]
    pool = gathered(row_answers(exchanges), ROWS)
    if not changes or pool is None or exchanges[0][0].source != "requests":
        raise NotRun("no requests are answered, or none of their numbers is off training's scale")
    batch, answers = pool
    runner = ModelRunner(lab.model, lab.signature)
    as_sent = runner(batch)
    ready = runner({**batch, **{alias: prepared(each, batch[alias]) for alias, each in changes.items()}})
    if as_sent is None or ready is None or not paired(answers, as_sent):
        raise NotRun("the local model cannot run what the endpoint was sent")
    return compared(answers, as_sent, ready, done)


def _changes(lab: Lab) -> dict[str, Preparation]:
    """By input that is off, the change of the requests that brings them nearest to training."""
    found: dict[str, Preparation] = {}
    for each in lab.find(ProfileComparison).inputs:
        fits = [fit for fit in each.fits if fit.repair is not None and fit.apart < each.apart]
        if each.off and fits and (repair := min(fits, key=lambda fit: fit.apart).repair):
            found[each.input] = repair
    return found


def _training_is_ready(lab: Lab) -> bool:
    """Whether training's numbers are normalised wherever the requests are off: behind what a pipeline does."""
    off = [place for each in lab.find(ProfileComparison).inputs for place in each.off]
    return bool(off) and all(place.reference.is_normalised for place in off)


def compared(answers: Arrays, as_sent: Arrays, ready: Arrays, inputs: Mapping[str, str]) -> ServerPreparation:
    """What the answers say.

    Args:
        answers: the endpoint's, rows first.
        as_sent, ready: the local model's, to the requests as they are and once they are prepared.
        inputs: what was done to which.
    """
    before, after, ranks = [0.0], [0.0], [1.0]
    matcher = Matcher(answers, ready)
    for alias, other in paired(answers, ready).items():
        truth, got = np.asarray(answers[alias]), np.asarray(ready[other])
        if truth.dtype.kind != "f" or got.shape != truth.shape:
            continue
        spread = matcher.spread(alias) or 1.0
        before.append(float(np.median(gaps(truth, np.asarray(as_sent[other])))) / spread)
        after.append(float(np.median(gaps(truth, got))) / spread)
        ranks.append(_correlation(truth, got))
    return ServerPreparation(
        inputs=dict(inputs),
        rows=len(next(iter(answers.values()))) if len(before) > 1 else 0,
        as_sent=max(before),
        prepared=max(after),
        correlation=min(ranks),
    )


def _correlation(one: Array, other: Array) -> float:
    """By rank, at the place where the answers vary most; 0 where one of the two does not vary there."""
    flat = [np.nan_to_num(each.reshape(len(each), -1).astype(np.float64)) for each in (one, other)]
    at = int(np.argmax(flat[0].std(axis=0)))
    if not all(np.ptp(each[:, at]) for each in flat):
        return 0.0
    first, second = (np.argsort(np.argsort(each[:, at], kind="stable")) for each in flat)
    return float(np.corrcoef(first, second)[0, 1])
