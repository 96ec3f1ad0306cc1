"""Endpoints without sockets, and labs that hold them: a model from a function, a fault from a wrapper around it."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fakes import signature, spec

from unstuck.client.address import parse
from unstuck.client.failures import too_late
from unstuck.client.messages import ModelMetadata
from unstuck.client.rest_wire import RestWire
from unstuck.codecs import predict_json
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.signatures import Signature
from unstuck.doctor.endpoint import Answer
from unstuck.doctor.evidence.answers import EndpointAnswers, EndpointState
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.probes import ConcurrencyProbe, EndpointBatchProbe, LoadRamp, RepeatProbe
from unstuck.doctor.experiments import (
    batch_probe,
    concurrency_probe,
    endpoint_answers,
    endpoint_state,
    load_ramp,
    repeat_probe,
)
from unstuck.doctor.lab import Lab, Question
from unstuck.errors import InvalidRequest, NotReady, UnstuckError

Arrays = Mapping[str, np.ndarray]
Serve = Callable[[bytes, Callable[[], Arrays]], Arrays]

SIGNATURE = signature(spec("x", shape=(None, 3)), outputs=(spec("y", shape=(None, 1)),))
WEIGHTS = np.array([[0.3], [-0.7], [1.1]], np.float32)
EXPERIMENTS = {
    EndpointState: endpoint_state.run,
    EndpointAnswers: endpoint_answers.run,
    RepeatProbe: repeat_probe.run,
    EndpointBatchProbe: batch_probe.of_endpoint,
    ConcurrencyProbe: concurrency_probe.run,
    LoadRamp: load_ramp.run,
}


def linear(inputs: Arrays) -> Arrays:
    if inputs["x"].shape[1:] != (3,):
        raise InvalidRequest(f"x has shape {inputs['x'].shape}")
    return {"y": inputs["x"] @ WEIGHTS}


class FakeEndpoint:
    """Answers as ``serve(body, run)`` does, where ``run()`` is the model on that body; thread-safe if serve is."""

    is_on_this_machine = True

    def __init__(
        self,
        serve: Serve = lambda body, run: run(),
        model: Callable[[Arrays], Arrays] = linear,
        states: Mapping[int, State] | UnstuckError = None,
        url: str = "http://127.0.0.1:8501/v1/models/m",
    ) -> None:
        if states is None:
            states = {1: State.AVAILABLE}
        self.url, self.spec, self.address = url, ModelSpec("m"), parse("http://127.0.0.1:8501")
        self.calls = 0
        self._serve, self._model, self._states = serve, model, states
        self._wire, self._lock = RestWire(self.address.text), threading.Lock()

    def status(self) -> list[VersionStatus]:
        if isinstance(self._states, UnstuckError):
            raise self._states
        return [VersionStatus(version, state) for version, state in self._states.items()]

    def metadata(self) -> ModelMetadata:
        if isinstance(self._states, UnstuckError):
            raise self._states
        return ModelMetadata("m", 1, self.signatures())

    def signatures(self) -> dict[str, Signature]:
        return {SIGNATURE.name: SIGNATURE}

    def body(self, called: Signature, inputs: Arrays) -> bytes:
        return self._wire.predict(self.spec, called, inputs).request.body or b""

    def predict(self, called: Signature, inputs: Arrays, timeout_s: float = 1.0) -> Answer:
        return self.post(self.body(called, inputs), called, timeout_s)

    def replay(self, request: Any, called: Signature, timeout_s: float = 1.0) -> Answer:
        return self.post(request.body, called, timeout_s)

    def post(self, body: bytes, called: Signature, timeout_s: float = 1.0, *, query: str = "") -> Answer:
        with self._lock:
            self.calls += 1
        try:
            outputs = self._serve(body, lambda: self._model(predict_json.parse(body).bind(called)))
        except UnstuckError as error:
            silent = type(error) is type(too_late(""))
            return Answer(None, error, 0.001, -1 if silent else error.http_status)
        return Answer(dict(outputs), None, 0.001, 200)

    def close(self) -> None:
        """Nothing is open."""


class FakeModel:
    """The local model of a lab."""

    path = Path("model")

    def __init__(self, model: Callable[[Arrays], Arrays] = linear) -> None:
        self.signatures = {SIGNATURE.name: SIGNATURE}
        self._model = model

    @property
    def traced(self) -> Any:
        raise NotRun("it has no inside")

    def run(self, called: Signature, inputs: Arrays) -> Arrays:
        return self._model(inputs)

    def close(self) -> None:
        """Nothing is open."""


def lab_with(endpoint: FakeEndpoint, model: FakeModel | None = None, **question: Any) -> Lab:
    """A lab that finds ``endpoint`` at its target; requests are drawn where none are given."""
    lab = Lab(Question(target=endpoint.url, model=model.path if model else None, **question), EXPERIMENTS)
    lab.__dict__["endpoint"] = endpoint
    if model is not None:
        lab.__dict__["model"] = model
    return lab


def unavailable(text: str = "busy") -> NotReady:
    return NotReady(text)
