"""In a batch, every row gets one row's answer.

What it finds
    An endpoint, or a model, that answers rows rightly one by one, and answers all of them alike once they come in one
    batch: the first row's answer, the last row's, or a single answer for the whole batch.

Why it happens
    A handler or a wrapped graph takes ``x[0]``, reads one buffer for all rows, or tiles one result; nobody saw it, as
    tests send one row.

How it decides
    Rows that get different answers alone are sent as batches of two, three and eight, then in reverse. It is a fault
    when all rows of a batch come back equal, and equal to the answer that one of them gets alone.

How to fix it
    Return one answer a row: pass the whole batch to the model, and index results by row. Until then send one row a
    call.

When it is wrong
    Rows that get equal answers alone are left out, so a coarse output cannot be taken for it. Normalisation by the
    batch's own statistics gives answers that belong to no row, which is ``model/batch-statistics``.
"""

from collections.abc import Iterator

from unstuck.doctor.check import Case, Fault, Location, NotTested, Outcome, RuledOut, Suspect, check
from unstuck.doctor.evidence.probes import BatchProbe, BatchTrial, EndpointBatchProbe, ModelBatchProbe

FIX = (
    "Return one answer a row: give the model the whole batch, and index its results by row instead of [0]. Until "
    "then, send one row a call."
)
FIX_MODEL = (
    "Export the model again with a signature that keeps the batch dimension (no x[0], no tf.tile or tf.fill of one "
    "result). Until then, send one row a call."
)


@check(
    explains=(
        "mapping/dropped-feature", "mapping/duplicated-feature", "mapping/wrong-version", "preprocessing/truncation",
        "preprocessing/constant-input",
    )
)  # fmt: skip
def batch_broadcast(endpoint: EndpointBatchProbe | None, model: ModelBatchProbe | None) -> Iterator[Outcome]:
    tested = [probe for probe in (endpoint, model) if probe is not None and _answered(probe)]
    if not tested:
        yield NotTested("no batch of rows that get different answers alone could be tried")
        return
    for probe in (endpoint, model):
        if probe is not None and (broadcast := [trial for trial in probe.trials if trial.is_broadcast]):
            yield _fault(probe, broadcast, baked=model is not None and any(each.is_broadcast for each in model.trials))
            return
    alike = [trial for probe in tested for trial in probe.trials if trial.all_equal]
    if alike:
        yield Suspect(
            why=f"In a batch of {alike[0].size} rows all get one answer, which is none of theirs alone.",
            evidence={"batches": len(alike), "size": alike[0].size},
            fix=FIX,
            confidence=0.4,
        )
        return
    sizes = sorted({trial.size for probe in tested for trial in _answered(probe)})
    whose = "the endpoint's" if endpoint in tested else "the model's"
    listed = ", ".join(map(str, sizes))
    yield RuledOut(f"Of {whose} batches of {listed} rows, none got one row's answer.", {"sizes": sizes})


def _answered(probe: BatchProbe) -> list[BatchTrial]:
    return [trial for trial in probe.trials if not trial.failed]


def _fault(probe: BatchProbe, broadcast: list[BatchTrial], *, baked: bool) -> Outcome:
    who = "The model itself" if baked else "The endpoint"
    trial = max(broadcast, key=lambda each: (each.equals_row is not None, each.size))
    if trial.equals_row is None:
        what = f"answers a batch of {trial.size} rows with one row"
    else:
        what = f"answers all {trial.size} rows of a batch with what row {trial.equals_row + 1} of them gets alone"
    return Fault(
        why=f"{who} {what}; alone, the {probe.rows} rows that were tried get {probe.rows} different answers.",
        evidence={
            "rows": probe.rows,
            "batches": len(probe.trials),
            "broadcast_batches": len(broadcast),
            "batch_size": trial.size,
            "equals_row": trial.equals_row,
            "answered_rows": trial.answered_rows,
            "in_the_model": baked,
        },
        fix=FIX_MODEL if baked else FIX,
        confidence=0.97 if len(broadcast) > 1 else 0.85,
        location=Location(),
    )


def _probe(*trials: BatchTrial) -> EndpointBatchProbe:
    return EndpointBatchProbe(source="requests", rows=3, trials=list(trials))


_OWN = BatchTrial(size=3, order=[1, 0, 2], answered_rows=3, own=3)
_FIRST = BatchTrial(size=3, order=[1, 0, 2], answered_rows=3, own=1, all_equal=True, equals_row=0)
_OTHERS = BatchTrial(size=2, order=[0, 1], answered_rows=2, own=0)

CASES = (
    Case("the first row's answer for all", (_probe(_FIRST, _FIRST),), "fault"),
    Case("each its own", (_probe(_OWN, _OWN),), "ruled-out"),
    Case("answers that depend on the batch, and are no row's", (_probe(_OTHERS),), "ruled-out"),
    Case("batches refused", (_probe(BatchTrial(size=2, order=[0, 1], failed="batch of one only")),), "not-tested"),
)
