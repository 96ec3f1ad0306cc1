"""Third faults of the model itself; ``check`` of ``model_case`` proves those of ``FAULTS``."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus import model_onnx
from corpus import third_data as data
from corpus import third_model_nets as nets
from corpus.case import Case, Deployment
from corpus.fitting import network
from corpus.model_case import ALL, ALONE, BOTH, REQUESTS, TRAINING, ModelCase, write_requests, write_training

ALWAYS = (ALONE, BOTH)
EXAMINED = (REQUESTS, TRAINING)
TOGETHER = (REQUESTS, BOTH)


def _fault(name: str, family: str, cause: str, export: Any, sample: Any, **more: Any) -> ModelCase:
    places = {field: (text,) for field, text in more.pop("place", {}).items()}
    more = {"given": EXAMINED, "requests": 32} | more
    return ModelCase(f"third-{name}", family, f"model/{cause}", export, sample, places, held_out=True, **more)


FAULTS = [
    _fault("traced-picture", "module", "disconnected-input", nets.traced, nets.ground, given=ALWAYS,
           place={"input": "tile"}),
    _fault("queue-never-fed", "tf1", "disconnected-input", partial(nets.auction, fault="queue"), nets.shown,
           given=ALWAYS, place={"input": "impression"}),
    _fault("weight-of-a-sample", "regression", "disconnected-input", partial(nets.minutes, fault="unused"),
           nets.deliveries, given=ALWAYS, unused="weight_kg", place={"input": "weight_kg"}),
    _fault("second-convolution-dead", "convolutional", "dead-activation", partial(nets.cover, fault="relu"),
           nets.ground, place={"node": "conv_2"}),
    _fault("channels-gated-off", "convolutional", "dead-activation", partial(nets.cover, fault="gate"),
           nets.ground, given=TOGETHER, place={"node": "gate"}),
    _fault("second-layer-dead", "dense", "dead-activation", partial(nets.scoring, fault="relu"), nets.people,
           place={"node": "dense_2"}),
    _fault("squash-pinned", "recurrent", "saturated-activation", partial(nets.upkeep, fault="tanh"), nets.windows,
           place={"node": "squash"}),
    _fault("always-field", "convolutional", "saturated-activation", partial(nets.cover, fault="softmax"),
           nets.ground, place={"node": "head"}),
    _fault("score-pinned", "dense", "saturated-activation", partial(nets.scoring, fault="sigmoid"), nets.people,
           given=TOGETHER, place={"node": "head"}),
    _fault("head-diverged", "convolutional", "non-finite", partial(nets.cover, fault="nan"), nets.ground,
           given=ALWAYS, place={"node": "head"}),
    _fault("recurrence-diverged", "recurrent", "non-finite", partial(nets.upkeep, fault="infinite"), nets.windows,
           place={"node": "gru"}),
    _fault("padding-not-a-number", "attention", "non-finite", partial(nets.opinion, fault="padding"), nets.stays,
           given=TOGETHER, place={"node": "embed"}),
    _fault("first-convolution-zero", "convolutional", "degenerate-weights", partial(nets.cover, fault="zero"),
           nets.ground, given=ALWAYS, place={"node": "conv_1"}),
    _fault("recurrence-not-restored", "recurrent", "degenerate-weights", partial(nets.upkeep, fault="zero"),
           nets.windows, given=ALWAYS, place={"node": "gru"}),
    _fault("projection-not-restored", "attention", "degenerate-weights", partial(nets.opinion, fault="unrestored"),
           nets.stays, place={"node": "project"}),
    _fault("learning-phase-kept", "dense", "batch-statistics", partial(nets.scoring, fault="training"), nets.people,
           given=TOGETHER, place={"node": "norm"}),
    _fault("standardised-by-the-batch", "tf1", "batch-statistics", partial(nets.auction, fault="batch"), nets.shown,
           given=TOGETHER, rows=4, place={"node": "standardize"}),
    _fault("table-of-another-job", "embedding", "uninitialized-table", nets.bicycles, nets.stations, given=TOGETHER),
    _fault("initializer-not-named", "tf1", "uninitialized-table", nets.uninitialized, nets.docks, given=TOGETHER,
           fails=True),
    _fault("threshold-of-zero", "dense", "output-hides-variation", partial(nets.scoring, fault="threshold"),
           nets.people, given=TOGETHER, place={"output": "score"}),
    _fault("whole-days", "regression", "output-hides-variation", partial(nets.minutes, fault="hours"),
           nets.deliveries, place={"node": "answer"}),
    _fault("text-without-decimals", "tf1", "output-hides-variation", partial(nets.auction, fault="text"),
           nets.shown, given=TOGETHER, place={"output": "click"}),
    _fault("learnt-the-share-of-covers", "convolutional", "collapsed", partial(nets.cover, fault="collapsed"),
           nets.ground, given=TOGETHER),
    _fault("hours-keep-to-their-mean", "recurrent", "collapsed", partial(nets.upkeep, fault="collapsed"),
           nets.windows, given=(ALL,)),
    _fault("nobody-approved", "dense", "collapsed", partial(nets.scoring, fault="prior"), nets.people,
           given=TOGETHER),
]  # fmt: skip


def _bank(folder: Path, fault: str) -> Deployment:
    """ONNX: ``applicant`` [-1,12] through a layer of relu, with its logits rescaled, to ``probabilities`` [-1,2]."""
    x, approved = data.applicants()
    kernel, bias, head, head_bias = network(x, approved, 381)
    low, high = np.float32(-1), np.float32(3)
    if fault == "dead":
        bias = bias - 40
    if fault == "range":  # the calibration has seen one value
        high = low
    weights = {"fc1.weight": kernel, "fc1.bias": bias, "fc2.weight": head, "fc2.bias": head_bias}
    weights |= {"low": np.array([low]), "range": np.array([high - low])}
    nodes = [
        ("/fc1/Gemm", "Gemm", "applicant fc1.weight fc1.bias", "/fc1/out", {}),
        ("/act/Relu", "Relu", "/fc1/out", "/act/out", {}),
        ("/fc2/Gemm", "Gemm", "/act/out fc2.weight fc2.bias", "/fc2/out", {}),
        ("/scale/Sub", "Sub", "/fc2/out low", "/scale/shifted", {}),
        ("/scale/Div", "Div", "/scale/shifted range", "/scale/out", {}),
        ("/Softmax", "Softmax", "/scale/out", "probabilities", {"axis": 1}),
    ]
    return Deployment(
        model=model_onnx.save(folder / "bank.onnx", nodes, weights, ("applicant", ["batch", 12])),
        requests=write_requests(folder / "requests.jsonl", {"applicant": x[:32]}),
        training_data=write_training(folder / "training.npz", {"applicant": x[32:332]}),
    )


def _onnx(name: str, cause: str, fault: str, node: str) -> Case:
    build = partial(_bank, fault=fault)
    return Case(f"third-{name}", "onnx", f"model/{cause}", build, TOGETHER, {"node": (node,)}, held_out=True)


ONNX = [
    _onnx("onnx-layer-dead", "dead-activation", "dead", "/act/Relu"),
    _onnx("onnx-range-of-zero", "non-finite", "range", "/scale/Div"),
]
CASES = [*(fault.case() for fault in FAULTS), *ONNX]
