"""Which of its sessions an ONNX model answers by."""

import threading
from pathlib import Path

import numpy as np
import pytest

from unstuck.testing import onnx_models

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from unstuck.engines.onnx import loader as onnx_loader

X = {"x": np.array([[4.0], [6.0]], np.float32)}
TIMEOUT_S = 30


class Watched:
    """A session whose runs are counted, and last until they may end."""

    def __init__(self, session):
        self.session, self.runs, self.may_end = session, 0, threading.Event()

    def run(self, *arguments):
        self.runs += 1
        assert self.may_end.wait(TIMEOUT_S)
        return self.session.run(*arguments)


@pytest.fixture
def half(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(onnx_loader, "usable_cpus", lambda: 2)
    loader = onnx_loader.OnnxLoader(onnx_models.half_plus_two(tmp_path / "half"))
    yield loader.load()
    loader.unload()


def test_a_run_takes_one_cpu_once_there_are_as_many_as_cpus(half):
    half._cpus = 2
    half._session, half._narrow = wide, narrow = Watched(half._session), Watched(half._narrow)
    (signature,) = half.signatures.values()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(half.run(signature, X)["y"].tolist())) for _ in range(3)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while wide.runs + narrow.runs < number:
            threading.Event().wait(0.001)
    assert (wide.runs, narrow.runs) == (1, 2)
    wide.may_end.set()
    narrow.may_end.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
    half.run(signature, X)
    assert (wide.runs, narrow.runs) == (2, 2), "alone again"
    assert answers == [[[4.0], [5.0]]] * 3


def test_a_large_model_is_not_held_twice(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(onnx_loader, "usable_cpus", lambda: 2)
    path = onnx_models.external_weights(tmp_path / "beside")
    size = sum(file.stat().st_size for file in path.iterdir())
    for limit, is_held in ((size, True), (size - 1, False)):
        monkeypatch.setattr(onnx_loader, "NARROW_BYTES", limit)
        loader = onnx_loader.OnnxLoader(path)
        assert (loader.load()._narrow is not None) is is_held
        loader.unload()
