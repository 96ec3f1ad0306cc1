"""Rows that alone get different answers, sent together: does each still get its own?"""

from collections.abc import Callable, Sequence

import numpy as np

from unstuck.core.signatures import Tensors
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import BatchTrial, EndpointBatchProbe, ModelBatchProbe
from unstuck.doctor.experiments.comparing import Ruler
from unstuck.doctor.experiments.endpoint_answers import asks_once, rows_for_probes
from unstuck.doctor.experiments.endpoint_state import affordable
from unstuck.doctor.experiments.sending import has_batch
from unstuck.doctor.given import stacked
from unstuck.doctor.lab import Lab, Row, rows_of
from unstuck.errors import UnstuckError

CANDIDATES, ALONE_S = 24, 2.0
BATCHES = ((0, 1), (1, 0, 2), (0, 1, 2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3, 2, 1, 0))

Ask = Callable[[Tensors], "Tensors | str"]  # the outputs, or why there are none


def of_endpoint(lab: Lab) -> EndpointBatchProbe:
    """Raises NotRun where there is no endpoint, no batch, or no rows that get different answers alone."""
    send = asks_once(lab)

    def ask(inputs: Tensors) -> Tensors | str:
        answer = send(inputs)
        return answer.outputs if answer.outputs is not None else str(answer.error)[:200]

    source, rows, trials = _probe(lab, ask, affordable(lab, ALONE_S, CANDIDATES, 6))
    return EndpointBatchProbe(source=source, rows=rows, trials=trials)


def of_model(lab: Lab) -> ModelBatchProbe:
    """Raises NotRun as ``of_endpoint``, and where there is no model."""
    model = lab.model

    def ask(inputs: Tensors) -> Tensors | str:
        try:
            return {alias: np.asarray(value) for alias, value in model.run(lab.signature, inputs).items()}
        except UnstuckError as error:
            return str(error)[:200]

    source, rows, trials = _probe(lab, ask, CANDIDATES)
    return ModelBatchProbe(source=source, rows=rows, trials=trials)


def _probe(lab: Lab, ask: Ask, count: int) -> tuple[str, int, list[BatchTrial]]:
    if not has_batch(lab.signature):
        raise NotRun("the signature has no batch dimension")
    source, candidates = rows_for_probes(lab, count)
    rows, alone = _distinct(candidates, ask)
    if len(rows) < 2:
        raise NotRun("no two rows get different answers alone, so nothing can be said of batches")
    ruler = Ruler(alone)
    orders = [order for order in (_fitting(batch, len(rows)) for batch in BATCHES) if len(order) > 1]
    trials = [_trial(list(order), rows, alone, ruler, ask) for order in dict.fromkeys(orders)]
    return source, len(rows), trials


def _fitting(batch: Sequence[int], rows: int) -> tuple[int, ...]:
    return tuple(at for at in batch if at < rows)


def _distinct(candidates: Sequence[Row], ask: Ask) -> tuple[list[Row], list[Tensors]]:
    """At most eight rows of one shape whose answers alone are all apart."""
    shapes = {alias: array.shape for alias, array in candidates[0].items()}
    rows = [row for row in candidates if {alias: array.shape for alias, array in row.items()} == shapes]
    asked: list[tuple[Row, Tensors]] = []
    for row in rows:
        answer = ask(row)
        if not isinstance(answer, str):
            asked.append((row, answer))
        elif not asked:
            break  # the first is not answered: no more are tried
    answers = [answer for _, answer in asked]
    chosen = Ruler(answers).distinct(answers)[:8]
    return [asked[at][0] for at in chosen], [answers[at] for at in chosen]


def _trial(order: list[int], rows: Sequence[Row], alone: Sequence[Tensors], ruler: Ruler, ask: Ask) -> BatchTrial:
    batch = stacked([rows[at] for at in order])
    answer = ask(batch) if batch is not None else "the rows have different shapes"
    if isinstance(answer, str):
        return BatchTrial(size=len(order), order=order, failed=answer)
    answered = list(rows_of(answer))
    expected = [alone[at] for at in order]
    if len(answered) != len(order):
        return BatchTrial(size=len(order), order=order, answered_rows=len(answered))
    all_equal = all(ruler.is_same(answered[0], each) for each in answered[1:])
    return BatchTrial(
        size=len(order),
        order=order,
        answered_rows=len(answered),
        own=sum(ruler.is_same(one, own) for one, own in zip(answered, expected, strict=True)),
        all_equal=all_equal,
        equals_row=ruler.index(answered[0], expected) if all_equal else None,
    )
