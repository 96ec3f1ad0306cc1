"""Why does the endpoint answer otherwise than the local model? Looks for the change of the inputs that explains it."""

from collections.abc import Mapping

import numpy as np

from unstuck.core.signatures import Signature
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.replay import EndpointReplay, Explanation
from unstuck.doctor.experiments.answer_pairs import pairs_of
from unstuck.doctor.experiments.comparing import shown
from unstuck.doctor.experiments.endpoint_answers import answers_of, row_answers
from unstuck.doctor.experiments.explaining import Run, Search, kinds_of, other_outputs, paired, shifted
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.numbers_changing import known_scalings, numbers_changed
from unstuck.doctor.experiments.rearranging import search_maps
from unstuck.doctor.experiments.running import ModelRunner, gathered
from unstuck.doctor.experiments.tokens_changing import tokens_changed
from unstuck.doctor.experiments.transformations import Array, Arrays, groups, hypotheses
from unstuck.doctor.lab import Lab
from unstuck.doctor.local_model import LocalModel

ROWS = 40
SECONDS = 12.0


def run(lab: Lab) -> EndpointReplay:
    """Raises NotRun where there is no local model or no endpoint, or their answers cannot be compared."""
    model, signature = lab.model, lab.signature
    exchanges = [each for each in answers_of(lab) if each[0].signature.name == signature.name]
    pool = gathered(row_answers(exchanges), ROWS)
    if pool is None:
        raise NotRun("the endpoint answered no single rows")
    batch, answers = pool
    runner = ModelRunner(model, signature)
    computed = runner(batch)
    if computed is None:
        raise NotRun("the local model cannot run what the endpoint was sent")
    source = exchanges[0][0].source
    if not paired(answers, computed):
        return EndpointReplay(
            source=source,
            rows=len(next(iter(batch.values()))),
            wrong=len(next(iter(batch.values()))),
            distinct=kinds_of(answers),
            explanations=_other_functions(lab, batch, answers, computed),
            example=f"expected the outputs {', '.join(computed)}, got {', '.join(answers)}",
        )
    search = Search(runner, batch, answers, computed, min(SECONDS, lab.seconds_left() / 3))
    if search.is_wrong.any():
        look(lab, search, runner, batch, answers, computed)
    return EndpointReplay(
        source=source,
        rows=len(search.is_wrong),
        wrong=int(search.is_wrong.sum()),
        right=int(search.matcher.same(computed).sum()),
        distinct=kinds_of(answers),
        tried=search.tried,
        explanations=search.best_first(),
        example=_example(search, batch, answers, computed),
        pairs=pairs_of(computed, answers),
    )


def look(lab: Lab, search: Search, runner: Run, batch: Arrays, answers: Arrays, computed: Arrays) -> None:
    """Tries other functions first, then changes of the inputs, and last any map of features."""
    search.found += _other_functions(lab, batch, answers, computed)
    for name, others in other_outputs(answers, computed):
        search.accept(others, Explanation(kind="output", what=f"the output is {name}", output=name, share=0, telling=0))
    if search.found:
        return
    search.try_all(hypotheses(batch, means(lab), names_of(lab)))
    search.try_all(numbers_changed(batch, known_scalings(lab, batch)))
    search.try_all(tokens_changed(batch))
    for name, others in shifted(computed):
        search.accept(others, Explanation(kind="other-row", what=f"the answer is that to {name}", share=0, telling=0))
    if not search.found:
        for group in groups(batch, names_of(lab)):
            search_maps(search, runner, group, answers, copies=True)


def _other_functions(lab: Lab, batch: Arrays, answers: Arrays, computed: Arrays) -> list[Explanation]:
    """Other signatures and versions of the local model that give the answers."""
    search = Search(lambda rows: None, batch, answers, computed, SECONDS)
    for name, signature in lab.signatures.items():
        if name != lab.signature.name:
            _try(search, lab.model, signature, batch, answers, Explanation(
                kind="signature", what=f"signature {name!r} answers", signature=name, share=0, telling=0
            ))  # fmt: skip
    for number, model in lab.other_versions.items():
        found = signatures_of(model).get(lab.signature.name)
        if found is not None:
            _try(search, model, found, batch, answers, Explanation(
                kind="version", what=f"version {number} answers", version=str(number), share=0, telling=0
            ))  # fmt: skip
    return search.best_first()


def _try(
    search: Search, model: LocalModel, signature: Signature, batch: Arrays, answers: Arrays, said: Explanation
) -> None:
    inputs = bound(batch, signature)
    outputs = ModelRunner(model, signature)(inputs) if inputs is not None else None
    search.tried += 1
    if outputs is not None and (shared := paired(answers, outputs)):
        is_alike = all(outputs[other].shape == np.shape(answers[alias]) for alias, other in shared.items())
        if is_alike and not search.accept_other(outputs, said) and said.kind == "version":
            search.accept_part(outputs, said.model_copy(update={"what": f"{said.what} some of the calls"}))


def bound(batch: Arrays, signature: Signature) -> "dict[str, Array] | None":
    """``batch`` by the aliases of another signature: the same ones, or the only input of each; else None."""
    if set(batch) == set(signature.inputs):
        return dict(batch)
    if len(batch) == 1 and len(signature.inputs) == 1:
        values = next(iter(batch.values()))
        alias, spec = next(iter(signature.inputs.items()))
        return {alias: values} if spec.dtype.is_string == (values.dtype == object) else None
    return None


def signatures_of(model: LocalModel) -> Mapping[str, Signature]:
    """Of a version that may not be loadable: then none."""
    from unstuck.errors import UnstuckError

    try:
        return model.signatures
    except UnstuckError:
        return {}


def means(lab: Lab) -> dict[str, Array]:
    """By input alias, the mean of the training data; empty where there are none."""
    try:
        training = lab.training
    except NotRun:
        return {}
    return {alias: values.mean(axis=0) for alias, values in training.items() if values.dtype.kind in "fiu"}


def _example(search: Search, batch: Arrays, answers: Arrays, computed: Arrays) -> str:
    wrong = np.flatnonzero(search.is_wrong)
    if not len(wrong):
        return ""
    at = int(wrong[0])
    asked, got, expected = ({k: v[at] for k, v in each.items()} for each in (batch, answers, computed))
    return f"asked {shown(asked)}, got {shown(got)}, expected {shown(expected)}"
