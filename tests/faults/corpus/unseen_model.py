"""Unseen faults of the model itself; ``check`` of ``model_case`` proves those of ``FAULTS``."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus import model_onnx
from corpus import unseen_data as data
from corpus import unseen_model_nets as nets
from corpus.case import Case, Deployment
from corpus.fitting import logistic
from corpus.fresh_nets import SENT, TRAINED
from corpus.model_case import ALL, ALONE, BOTH, REQUESTS, TRAINING, ModelCase, write_requests, write_training

ALWAYS = (ALONE, BOTH)
EXAMINED = (REQUESTS, TRAINING)
TOGETHER = (REQUESTS, BOTH)
TUNED = ("output-gate-shut",)  # looked at once it was scored


def _fault(name: str, family: str, cause: str, export: Any, sample: Any, **more: Any) -> ModelCase:
    places = {field: (text,) for field, text in more.pop("place", {}).items()}
    more.setdefault("given", EXAMINED)
    held_out = name not in TUNED
    return ModelCase(f"unseen-{name}", family, f"model/{cause}", export, sample, places, held_out=held_out, **more)


FAULTS = [
    _fault("motion-from-a-buffer", "convolutional", "disconnected-input", partial(nets.walking, fault="buffer"),
           nets.walks, given=ALWAYS, place={"input": "motion"}),
    _fault("last-read-not-used", "two-tower", "disconnected-input", nets.shelf, nets.visits, given=ALWAYS,
           unused="last_read", place={"input": "last_read"}),
    _fault("features-dead", "convolutional", "dead-activation", partial(nets.meter, fault="relu"), nets.pictures,
           place={"node": "features"}),
    _fault("output-gate-shut", "recurrent", "dead-activation", partial(nets.load, fault="gate"), nets.histories,
           place={"node": "lstm"}),
    _fault("second-tanh-pinned", "dense", "saturated-activation", partial(nets.clinic, fault="tanh"), nets.measures,
           place={"node": "dense_2"}),
    _fault("risk-pinned-at-one", "dense", "saturated-activation", partial(nets.clinic, fault="sigmoid"),
           nets.measures, given=TOGETHER, place={"node": "head"}),
    _fault("always-praise", "attention", "saturated-activation", partial(nets.mood, fault="softmax"), nets.reviews,
           place={"node": "head"}),
    _fault("variance-below-zero", "convolutional", "non-finite", partial(nets.meter, fault="variance"),
           nets.pictures, place={"node": "norm"}),
    _fault("softmax-by-hand", "tf1", "non-finite", partial(nets.fraud, fault="softmax"), nets.cards,
           place={"node": "share"}),
    _fault("second-convolution-zero", "convolutional", "degenerate-weights", partial(nets.meter, fault="zero"),
           nets.pictures, given=ALWAYS, place={"node": "conv_2"}),
    _fault("norm-never-restored", "attention", "degenerate-weights", partial(nets.mood, fault="gamma"),
           nets.reviews, given=ALWAYS, place={"node": "norm"}),
    _fault("embedding-all-equal", "attention", "degenerate-weights", partial(nets.mood, fault="embedding"),
           nets.reviews, given=EXAMINED, place={"node": "embedding"}),
    _fault("exported-in-training-mode", "convolutional", "batch-statistics", partial(nets.meter, fault="training"),
           nets.pictures, given=TOGETHER, place={"node": "norm"}),
    _fault("is-training-by-default", "tf1", "batch-statistics", partial(nets.fraud, fault="training"), nets.cards,
           place={"node": "norm"}),
    _fault("rank-in-the-batch", "convolutional", "batch-statistics", partial(nets.walking, fault="rank"),
           nets.walks, given=TOGETHER, rows=4, place={"node": "rank"}),
    _fault("vocabulary-not-copied", "embedding", "uninitialized-table", nets.service_life, nets.machines,
           given=ALWAYS, fails=True),
    _fault("rows-filled-after-export", "embedding", "uninitialized-table", nets.prices, nets.codes, given=EXAMINED),
    _fault("argmax-of-one", "dense", "output-hides-variation", partial(nets.clinic, fault="argmax"), nets.measures,
           place={"output": "risk"}),
    _fault("risk-as-a-whole-number", "dense", "output-hides-variation", partial(nets.clinic, fault="whole"),
           nets.measures, given=TOGETHER, place={"output": "risk"}),
    _fault("amount-cut-at-one", "tf1", "output-hides-variation", partial(nets.fraud, fault="clipped"), nets.cards,
           place={"node": "amount"}),
    _fault("load-keeps-to-its-mean", "recurrent", "collapsed", partial(nets.load, fault="collapsed"),
           nets.histories, given=(ALL, BOTH)),
    _fault("learnt-the-share-of-praise", "attention", "collapsed", partial(nets.mood, fault="collapsed"),
           nets.reviews, given=TOGETHER),
]  # fmt: skip


def _engine(folder: Path, fault: str) -> Deployment:
    """ONNX: ``readings`` [-1,6], raw, standardised in the graph, through a layer of relu to ``probabilities``."""
    raw, label = data.engines()
    mean, spread = raw.mean(0), raw.std(0)
    x = (raw - mean) / spread
    random = np.random.default_rng(261)
    kernel, bias = random.normal(0, 0.6, (6, 20)), random.normal(0, 0.3, 20)
    head, head_bias = logistic(np.maximum(x @ kernel + bias, 0), np.eye(3)[label])
    if fault == "dead":
        bias = bias - 80
    if fault == "spread":  # a column that did not vary in a first sample, whose spread was kept
        mean, spread = np.where(np.arange(6) == 2, 0, mean), np.where(np.arange(6) == 2, 0, spread)
    values = {"mean": mean, "spread": spread, "k": kernel, "b": bias, "h": head, "hb": head_bias}
    if fault == "spread":
        values["k"][2] = np.where(np.arange(20) % 2, 0.0, values["k"][2])
    nodes = [
        ("/scale/Sub", "Sub", "readings mean", "/scale/centred", {}),
        ("/scale/Div", "Div", "/scale/centred spread", "/scale/out", {}),
        ("/body/Gemm", "Gemm", "/scale/out k b", "/body/out", {}),
        ("/act/Relu", "Relu", "/body/out", "/act/out", {}),
        ("/head/Gemm", "Gemm", "/act/out h hb", "/head/out", {}),
        ("/softmax/Softmax", "Softmax", "/head/out", "probabilities", {"axis": 1}),
    ]
    weights = {name: np.asarray(value, np.float32) for name, value in values.items()}
    return Deployment(
        model=model_onnx.save(folder / "engine.onnx", nodes, weights, ("readings", ["batch", 6])),
        requests=write_requests(folder / "requests.jsonl", {"readings": raw[SENT]}),
        training_data=write_training(folder / "training.npz", {"readings": raw[TRAINED]}),
    )


def _onnx(name: str, cause: str, fault: str, node: str) -> Case:
    build = partial(_engine, fault=fault)
    return Case(f"unseen-{name}", "onnx", f"model/{cause}", build, TOGETHER, {"node": (node,)}, held_out=True)


ONNX = [
    _onnx("onnx-body-dead", "dead-activation", "dead", "/act/Relu"),
    _onnx("onnx-spread-of-zero", "non-finite", "spread", "/scale/Div"),
]
CASES = [*(fault.case() for fault in FAULTS), *ONNX]
