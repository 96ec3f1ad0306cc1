"""What the tests of PredictBatches share: its calls on a fake model, and the messages that they are made of."""

import threading
from concurrent.futures import Executor, Future
from functools import partial

import numpy as np
from fakes import FakeModel, FakeModels, FakeServable, signature, spec

from unstuck.api.grpc.predict import PendingCall, PredictBatches
from unstuck.api.grpc.service import GrpcService
from unstuck.core.dtypes import FLOAT
from unstuck.inference.placement import Placement
from unstuck.proto.tensors import fill, to_array
from unstuck.proto.wire.predict_pb2 import PredictRequest, PredictResponse

Y, Z = spec("y", FLOAT, (None, None)), spec("z", FLOAT, (None,))
SIGNATURES = {
    "serving_default": signature(spec("x", FLOAT, (None, None)), outputs=(Y, Z)),
    "two": signature(spec("a", FLOAT, (None,)), spec("b", FLOAT, (None,)), name="two"),
    "wide": signature(spec("x", FLOAT, (None, 1)), outputs=(Y,), name="wide"),
}


def double(inputs):
    if "a" in inputs:
        return {"y": inputs["a"] + inputs["b"]}
    return {"y": inputs["x"] * 2, "z": inputs["x"].sum(axis=-1)}


class Served(FakeServable):
    """Gives the outputs that are asked for; says on which thread each run was."""

    def __init__(self, function):
        super().__init__(function, SIGNATURES)
        self.threads = []

    def run(self, signature, inputs):
        self.threads.append(threading.current_thread().name)
        outputs = super().run(signature, inputs)
        return {alias: array for alias, array in outputs.items() if alias in signature.outputs}


class Workers(Executor):
    """Keeps what it is given until ``work`` is called."""

    def __init__(self):
        self.waiting = []

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        self.waiting.append(lambda: future.set_result(function(*args, **kwargs)))
        return future

    def submit_for(self, whom, function, /, *args):
        return self.submit(function, *args)

    def work(self):
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            thread = threading.Thread(target=each, name="worker")
            thread.start()
            thread.join()


class Calls:
    """PredictBatches on one model ``m``, whose calls may be merged, and count as short, unless said otherwise."""

    def __init__(self, monkeypatch, function=double, *, short=True, mergeable=True, **options) -> None:
        self.short = short
        if short is not None:
            monkeypatch.setattr(Placement, "is_short", lambda _, key: self.short)
        self.servable = Served(function)
        self.model = FakeModel(self.servable, mergeable=frozenset(SIGNATURES) if mergeable else frozenset())
        service = GrpcService(
            FakeModels({"m": self.model}), **{"strict_inputs": False, "tensor_content": False, **options}
        )
        self.workers = Workers()
        self.batches = PredictBatches(service, self.workers)

    def begin(self, payloads, unwanted=()):
        """Hands over one batch; the list that the replies come into, ``[]`` each until there is one."""
        replies = [[] for _ in payloads]
        self.batches.answer(
            [
                PendingCall(payload, partial(_keep, reply), lambda number=number: number not in unwanted)
                for number, (payload, reply) in enumerate(zip(payloads, replies, strict=True))
            ]
        )
        return replies

    def __call__(self, *payloads):
        """The answers to one batch: arrays by alias, or the error."""
        replies = self.begin(payloads)
        self.workers.work()
        assert [len(each) for each in replies] == [1] * len(payloads), "each is answered once"
        return [read(each) for (each,) in replies]

    @property
    def rows(self):
        return [len(next(iter(inputs.values()))) for inputs in self.servable.runs]


def _keep(replies, outcome, _request_id):
    replies.append(outcome)


def read(reply):
    if isinstance(reply, BaseException):
        return reply
    outputs = PredictResponse.FromString(reply.payload).outputs
    return {alias: to_array(tensor).tolist() for alias, tensor in outputs.items()}


def request(signature_name="", output_filter=(), name="m", **inputs):
    message = PredictRequest(output_filter=output_filter)
    message.model_spec.name, message.model_spec.signature_name = name, signature_name
    for alias, value in inputs.items():
        fill(message.inputs[alias], np.array(value, getattr(value, "dtype", np.float32)), as_content=False)
    return message.SerializeToString()


def rows(*values, **more):
    return request(x=[[value, value] for value in values], **more)


def doubled(*values):
    return {"y": [[2 * value] * 2 for value in values], "z": [2 * value for value in values]}
