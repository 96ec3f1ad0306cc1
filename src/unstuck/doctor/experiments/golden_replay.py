"""Are the golden answers given, by the local model and by the endpoint? If not, what of the inputs explains it?"""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.replay import Explanation, GoldenAtEndpoint, GoldenReplay
from unstuck.doctor.experiments.answer_pairs import pairs_of
from unstuck.doctor.experiments.comparing import shown
from unstuck.doctor.experiments.endpoint_state import serving
from unstuck.doctor.experiments.explaining import Matcher, Run, Search, kinds_of, other_outputs
from unstuck.doctor.experiments.input_scaling import input_scaling
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.parallel import calls_at_once
from unstuck.doctor.experiments.rearranging import search_maps
from unstuck.doctor.experiments.running import EndpointRunner, ModelRunner, gathered
from unstuck.doctor.experiments.transformations import Array, Arrays, Batch, Hypothesis, groups, hypotheses
from unstuck.doctor.lab import Lab, rows_of
from unstuck.errors import UnstuckError
from unstuck.pipeline.checks import UNPREPARED

ROWS = 24
SECONDS = 8.0
CALLS = 110
ALONE_HYPOTHESES = 14  # that the endpoint is asked about where it takes no batches
HYPOTHESES = 800


def of_model(lab: Lab) -> GoldenReplay:
    """Raises NotRun without a model or golden rows that it can run."""
    batch, truth = golden_pool(lab)
    runner = ModelRunner(lab.model, lab.signature)
    computed = runner(batch)
    if lab.has_pipeline:  # the rows may have been recorded behind it, as the model itself takes them
        behind = ModelRunner(lab.model, lab.model.signatures[lab.signature.name + UNPREPARED])
        prepared = _run_if_it_fits(behind, batch)
        if prepared is not None and (computed is None or _wrong(truth, prepared) < _wrong(truth, computed)):
            runner, computed = behind, prepared
    if computed is None:
        raise NotRun("the local model cannot run the golden inputs")
    search = Search(runner, batch, truth, computed, min(SECONDS, lab.seconds_left() / 3))
    if search.is_wrong.any():
        _look(lab, search, runner, truth, computed)
    return GoldenReplay.model_validate(_facts(search, batch, truth, computed))


def _run_if_it_fits(runner: ModelRunner, batch: Arrays) -> "Arrays | None":
    try:
        return runner(batch)
    except UnstuckError:
        return None


def _wrong(truth: Arrays, computed: Arrays) -> int:
    return int(Matcher(truth, computed).wrong(computed).sum())


def of_endpoint(lab: Lab) -> GoldenAtEndpoint:
    """Raises NotRun without an endpoint that answers, or golden rows."""
    batch, truth = golden_pool(lab)
    runner = EndpointRunner(serving(lab), lab.signature, CALLS, at_once=calls_at_once(lab))
    computed = runner(batch)
    if computed is None:
        raise NotRun("the endpoint did not answer the golden inputs")
    search = Search(runner, batch, truth, computed, min(SECONDS, lab.seconds_left() / 3))
    if search.is_wrong.any() and lab.question.model is None:
        runner.learn(batch, computed)
        _look(lab, search, runner, truth, computed, HYPOTHESES if runner.in_batches else ALONE_HYPOTHESES)
    return GoldenAtEndpoint.model_validate(_facts(search, batch, truth, computed))


def golden_pool(lab: Lab) -> tuple[dict[str, Array], dict[str, Array]]:
    """Golden rows as a batch, with their answers. Raises NotRun where there are none."""
    rows = [pair for each in lab.golden for pair in zip(rows_of(each.inputs), rows_of(each.outputs), strict=False)]
    pool = gathered(rows, ROWS)
    if pool is None or not pool[1]:
        raise NotRun("there are no single golden rows")
    return pool


def _look(lab: Lab, search: Search, runner: Run, truth: Arrays, computed: Arrays, limit: int | None = None) -> None:
    """What can be undone: golden inputs are right, so what changed on the way must be changed back before it."""
    for name, others in other_outputs(truth, computed):
        search.accept(others, Explanation(kind="output", what=f"the output is {name}", output=name, share=0, telling=0))
    if search.found:
        return
    undone = (each for each in hypotheses(search.batch, {}, names_of(lab)) if each.can_undo)
    search.try_all(itertools.islice(undone, limit))
    if not search.found and limit != ALONE_HYPOTHESES:
        for group in groups(search.batch, names_of(lab)):
            search_maps(search, runner, group, truth, copies=False)
    if not search.found and isinstance(runner, ModelRunner):
        _look_behind(lab, search)


def _look_behind(lab: Lab, search: Search) -> None:
    """What is undone behind the normalisation that the graph begins with."""
    for alias, spec in lab.signature.inputs.items():
        try:
            traced = lab.traced()
            scaling = input_scaling(
                traced, traced.graph(lab.signature.name), lab.signature.name, spec, lab.signature.inputs
            )
        except (NotRun, UnstuckError):
            return
        if scaling is not None and alias in search.batch:
            factor, offset = scaling
            search.try_all(
                replace(each, apply=_behind(each, alias, factor, offset))
                for each in hypotheses({alias: search.batch[alias]}, {}, names_of(lab))
                if each.can_undo
            )


def _behind(hypothesis: Hypothesis, alias: str, factor: Array, offset: Array) -> Callable[[Arrays], Batch]:
    def apply(rows: Arrays) -> Batch:
        own = rows[alias]
        changed = hypothesis.apply({alias: own * factor + offset})[alias]
        return dict(rows) | {alias: ((changed - offset) / factor).astype(own.dtype)}

    return apply


def _facts(search: Search, batch: Arrays, truth: Arrays, computed: Arrays) -> dict[str, object]:
    wrong = np.flatnonzero(search.is_wrong)
    example = ""
    if len(wrong):
        asked, right, got = ({k: v[wrong[0]] for k, v in each.items()} for each in (batch, truth, computed))
        example = f"asked {shown(asked)}, got {shown(got)}, golden {shown(right)}"
    return {
        "source": "golden",
        "rows": len(search.is_wrong),
        "wrong": len(wrong),
        "right": int(search.matcher.same(computed).sum()),
        "distinct": kinds_of(computed) if computed else 0,
        "tried": search.tried,
        "explanations": [each.model_dump() for each in search.best_first()],
        "example": example,
        "pairs": pairs_of(truth, computed),
    }
