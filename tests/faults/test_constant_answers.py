"""The server's watch on answers, beside the doctor's corpus: what clients of the deployments send, run as calls."""

from pathlib import Path

import pytest
from corpus import cases
from corpus.case import Case

from unstuck import engines
from unstuck.codecs import predict_json
from unstuck.core.servables import Engine
from unstuck.lifecycle.source import versions_in
from unstuck.monitor.answers import LEAST_INPUTS
from unstuck.monitor.diversity import DiversityMonitor

HEALTHY = [each for each in cases() if each.cause is None]
# Its requests are recorded in front of a proxy that prepares them; the model itself never gets them as they are.
UNPREPARED = "texts-prepared-by-proxy"
# Of each kind of fault that leaves one answer to everybody, one; its outputs are no labels.
CONSTANT = {
    "preprocessing/missing-tokenization",
    "preprocessing/truncation",
    "model/dead-activation",
    "model/non-finite",
    "model/degenerate-weights",
}


def watched(case: Case, folder: Path) -> dict[str, dict[str, object]]:
    """What is known of the answers to the requests of a deployment, by signature."""
    deployment = case.build(folder)
    if deployment.model is None or deployment.requests is None:
        pytest.skip("no model, or no requests")
    installed = engines.installed()
    path = deployment.model
    engine = _engine(installed, path)
    if engine is None:
        path = versions_in(path)[-1].path
        engine = _engine(installed, path)
    assert engine is not None
    servable = engine.loader(path).load()
    monitor = DiversityMonitor(lambda *_: None)
    observer = monitor.watch(case.name, 1, servable.signatures, str)
    for line in deployment.requests.read_bytes().splitlines():
        request = predict_json.parse(line)
        signature = servable.signatures[request.signature_name or deployment.signature or "serving_default"]
        inputs = request.bind(signature)
        observer.ran(signature, inputs, servable.run(signature, inputs), ())
    known = monitor.document(case.name, 1)
    assert any(each["distinct_inputs"] for each in known.values())
    return known


def _engine(installed: list[Engine], path: Path) -> Engine | None:
    return next((each for each in installed if each.recognises(path)), None)


@pytest.mark.slow
@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_a_healthy_deployment_is_not_flagged(case: Case, tmp_path: Path) -> None:
    flagged = [name for name, known in watched(case, tmp_path).items() if known["flagged"]]
    assert bool(flagged) == (case.name == UNPREPARED)


@pytest.mark.slow
@pytest.mark.parametrize("cause", sorted(CONSTANT))
def test_a_fault_that_leaves_one_answer_is_flagged(cause: str, tmp_path: Path) -> None:
    case = next(each for each in cases() if each.cause == cause and each.given)
    known = watched(case, tmp_path)
    assert any(each["flagged"] for each in known.values()), known
    assert all(each["inputs_since_change"] >= LEAST_INPUTS for each in known.values() if each["flagged"])
