"""``--engine`` of a running server: TensorFlow serves first, and the switch is seen in the status and in no answer."""

import time

import httpx
import numpy as np
import pytest

from unstuck.choosing import choice as choosing
from unstuck.choosing.timing import Timing
from unstuck.testing import models

pytestmark = pytest.mark.slow

SWITCHED_S = 120


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return models.mlp(tmp_path_factory.mktemp("mlp")).parent


@pytest.fixture
def started(serve, path, tmp_path_factory):
    """``started(engine)``: a server of the MLP as ``m``; conversions are kept for the module."""
    running = []

    def start(engine):
        server = serve({"m": path}, engine=engine, model_cache_dir=tmp_path_factory.getbasetemp() / "conversions")
        running.append(server)
        return server

    yield start
    for each in running:
        each.stop()


def version(server):
    return httpx.get(f"{server.url}/statusz").json()["models"]["m"]["versions"]["1"]


def answers(server, rows):
    answer = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": rows.tolist()}, timeout=60)
    return np.array(answer.json()["predictions"])


def test_auto_serves_by_tensorflow_until_onnx_has_shown_to_be_faster(started, monkeypatch):
    monkeypatch.setattr(choosing, "measure", lambda *runs, batches, cancelled: [Timing(1, 2.0, 1.0)])
    rows = np.random.default_rng(3).normal(size=(5, 64)).round(3)
    server = started("auto")
    first = version(server)
    assert (first["state"], first["engine"]) == ("AVAILABLE", "tensorflow")
    assert first["engine_choice"]["asked"] == "auto"
    assert first["engine_choice"]["state"] in ("waiting", "choosing")
    expected = answers(server, rows)
    end = time.monotonic() + SWITCHED_S
    while version(server)["engine_choice"]["state"] != "chosen":
        assert time.monotonic() < end
        np.testing.assert_allclose(answers(server, rows), expected, rtol=1e-4, atol=1e-5)
    switched = version(server)
    assert switched["engine"] == "onnx"
    (decided,) = switched["engine_choice"]["signatures"].values()
    assert decided["timings"] == [{"batch": 1, "tensorflow_ms": 2.0, "onnx_ms": 1.0}]
    assert decided["largest_difference"] < 1e-4
    assert switched["signatures"]["serving_default"]["merged"]
    np.testing.assert_allclose(answers(server, rows), expected, rtol=1e-4, atol=1e-5)
    refused = httpx.post(f"{server.url}/v1/models/m:predict", json={"instances": [[1.0] * 63]})
    assert refused.status_code == 400


def test_onnx_is_there_before_the_version_is(started):
    server = started("onnx")
    assert not server.failures
    assert version(server)["engine"] == "onnx"
    assert answers(server, np.zeros((2, 64))).shape == (2, 10)


def test_onnx_refuses_what_it_cannot_run(serve, tmp_path):
    server = serve({"m": models.multi_io(tmp_path / "m").parent}, engine="onnx", model_cache_dir=tmp_path)
    (failure,) = server.failures
    assert "--engine=onnx, and signature 'serving_default' cannot be served by ONNX Runtime: 'c' holds strings" in str(
        failure
    )
    server.stop()


def test_without_the_flag_nothing_is_chosen(started):
    assert "engine_choice" not in version(started("tensorflow"))
