"""A server that prepares what clients send answers as the model does once it is prepared, and not as sent."""

import json

import numpy as np
from fake_endpoints import FakeEndpoint, FakeModel, lab_with, linear

from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.evidence.profile import Fit, InputComparison, Numbers, PlaceComparison, ProfileComparison
from unstuck.doctor.evidence.samples import tensor, trace
from unstuck.doctor.evidence.server_preparation import ServerPreparation
from unstuck.doctor.evidence.variation import VariationTrace
from unstuck.doctor.experiments import server_preparation
from unstuck.doctor.experiments.server_preparation import compared
from unstuck.doctor.explain import unexplained

RANDOM = np.random.default_rng(6)
RAW = RANDOM.normal(120, 20, (40, 3)).astype(np.float32)
MEAN, STD = RAW.mean(), RAW.std()
KNOWN = Numbers(mean=0, std=1, minimum=-3, maximum=3)
SENT = Numbers(mean=float(MEAN), std=float(STD), minimum=60, maximum=180)
INPUTS = {"x": "to training's mean and deviation"}


def bent(inputs):
    return {"y": np.tanh(linear(inputs)["y"])}


def standardised(inputs):
    return {"x": ((inputs["x"] - MEAN) / STD).astype(np.float32)}


def profile(lab):
    repair = Preparation(name=INPUTS["x"], kinds=["affine"], factor=[float(1 / STD)], offset=[float(-MEAN / STD)])
    place = PlaceComparison(name="", requests=SENT, reference=KNOWN, apart=1, outside=1)
    fit = Fit(preparation=repair, of="requests", apart=0.05)
    facts = {"input": "x", "dtype": "float", "shape": [3], "reference": "training", "rows": 40, "reference_rows": 99}
    return ProfileComparison(
        signature=lab.signature.name, inputs=[InputComparison(**facts, places=[place], apart=1, fits=[fit])]
    )


def asked(tmp_path, endpoint):
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps({"instances": [row]}) + "\n" for row in RAW.tolist()))
    lab = lab_with(endpoint, FakeModel(bent), requests=file)
    lab._experiments = {**lab._experiments, ProfileComparison: profile, ServerPreparation: server_preparation.run}
    return lab.find(ServerPreparation)


def test_answers_to_prepared_requests_show_a_server_that_prepares(tmp_path, monkeypatch):
    monkeypatch.setattr(server_preparation, "pipeline_of", lambda lab: "")
    found = asked(tmp_path, FakeEndpoint(model=lambda inputs: bent(standardised(inputs))))
    assert found.prepares
    assert (found.rows, found.inputs) == (40, INPUTS)
    assert found.prepared < 0.01 < 0.2 < found.as_sent


def test_answers_to_requests_as_sent_show_none(tmp_path, monkeypatch):
    monkeypatch.setattr(server_preparation, "pipeline_of", lambda lab: "")
    assert not asked(tmp_path, FakeEndpoint(model=bent)).prepares


def test_a_server_that_says_so_is_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(server_preparation, "pipeline_of", lambda lab: "pipeline.yaml")
    found = asked(tmp_path, FakeEndpoint(model=bent))
    assert found.prepares
    assert "pipeline.yaml" in found.why


def test_one_answer_of_the_model_alone_is_no_riddle_where_the_server_prepares():
    pool = trace(tensor("x", "Placeholder"), tensor("y", "Sigmoid", "x", alive=False)).pools[0]
    constant = VariationTrace(pools=[pool.model_copy(update={"pool": "requests"})])
    server = ServerPreparation(inputs=INPUTS, rows=40, as_sent=0.6, prepared=0.02, correlation=0.99)
    assert unexplained({VariationTrace: constant})
    assert unexplained({VariationTrace: constant, ServerPreparation: server}) == ""


def test_an_endpoint_that_answers_something_else_prepares_nothing():
    truth = {"y": RANDOM.normal(size=(40, 1)).astype(np.float32)}
    other, third = ({"y": RANDOM.normal(size=(40, 1)).astype(np.float32)} for _ in range(2))
    assert not compared(truth, other, third, INPUTS).prepares


def test_a_model_that_gives_one_answer_to_all_shows_nothing():
    same = {"y": np.ones((40, 1), np.float32)}
    assert not compared(same, same, same, INPUTS).prepares


def test_one_answer_of_the_endpoint_to_all_shows_nothing():
    same, near = {"y": np.ones((40, 1), np.float32)}, {"y": RANDOM.normal(1, 1e-3, (40, 1)).astype(np.float32)}
    assert not compared(same, {"y": RANDOM.normal(size=(40, 1)).astype(np.float32)}, near, INPUTS).prepares
