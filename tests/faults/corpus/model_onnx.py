"""ONNX models with one fault inside, and healthy ones that look like them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_samples
from corpus.case import Case, Deployment
from corpus.fitting import FITTED_ON, logistic, network, standardize
from corpus.live import unstuck
from corpus.model_case import ALONE, BOTH, REQUESTS, TRAINING, Rows, Sample, write_requests, write_training

Weights = dict[str, np.ndarray]
Edit = Callable[[Weights], object]
Node = tuple[str, str, str, str, Mapping[str, Any]]  # name, op, inputs, outputs, attributes

SHUT = -1e4
NOTHING: Mapping[str, Any] = {}
CREDIT: Sequence[Node] = (
    ("/fc1/Gemm", "Gemm", "features fc1.weight fc1.bias", "/fc1/Gemm_output_0", NOTHING),
    ("/act/Relu", "Relu", "/fc1/Gemm_output_0", "/act/Relu_output_0", NOTHING),
    ("/fc2/Gemm", "Gemm", "/act/Relu_output_0 fc2.weight fc2.bias", "logits", NOTHING),
    ("/softmax/Softmax", "Softmax", "logits", "probabilities", {"axis": 1}),
)
# As the TensorFlow converter names things: colons in the names of values, no names of nodes.
SHAPES: Sequence[Node] = (
    ("", "Div", "image model/scale:0", "model/scaled:0", NOTHING),
    ("", "Conv", "model/scaled:0 model/conv/kernel:0 model/conv/bias:0", "model/conv/Conv2D:0", {"strides": [2, 2]}),
    ("", "Clip", "model/conv/Conv2D:0 model/zero:0 model/six:0", "model/conv/Relu6:0", NOTHING),
    ("", "Flatten", "model/conv/Relu6:0", "model/flat:0", NOTHING),
    ("", "MatMul", "model/flat:0 model/head/kernel:0", "model/head/MatMul:0", NOTHING),
    ("", "Add", "model/head/MatMul:0 model/head/bias:0", "model/head/BiasAdd:0", NOTHING),
    ("", "Softmax", "model/head/BiasAdd:0", "probabilities", {"axis": 1}),
)


def credit_weights() -> Weights:
    raw, bad = datasets.credit_matrix(FITTED_ON, seed=100)
    names = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    return dict(zip(names, network(standardize(raw, raw), bad.astype(int)), strict=True))


def shape_weights() -> Weights:
    """A convolution of random filters, and a head fitted to it: ``image`` float [-1,3,16,16], 0..255."""
    random = np.random.default_rng(5)
    pictures, kinds = datasets.images(400, seed=100)
    kernel, bias = random.normal(0, 0.25, (6, 3, 3, 3)), random.normal(0, 0.1, 6)
    x = pictures.transpose(0, 3, 1, 2) / 255.0
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    hidden = np.clip(np.einsum("nchwij,ocij->nohw", windows, kernel) + bias[:, None, None], 0, 6)
    flat = hidden.reshape(len(hidden), -1)
    head, head_bias = logistic(flat, np.eye(int(kinds.max()) + 1)[kinds])
    return {
        name: np.asarray(values, np.float32)
        for name, values in {
            "model/scale:0": 255.0, "model/zero:0": 0.0, "model/six:0": 6.0, "model/conv/kernel:0": kernel,
            "model/conv/bias:0": bias, "model/head/kernel:0": head, "model/head/bias:0": head_bias,
        }.items()
    }  # fmt: skip


def pictures(random: np.random.Generator, count: int) -> Rows:
    """0..255, channels first, as ``image``."""
    found, _ = datasets.images(count, seed=int(random.integers(1000, 1 << 30)))
    return {"image": found.transpose(0, 3, 1, 2).astype(np.float32)}


def save(path: Path, nodes: Sequence[Node], weights: Weights, taken: tuple[str, list[Any]]) -> Path:
    """Writes the model with one float input and the float output ``probabilities``."""
    import onnx
    from onnx import helper, numpy_helper

    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, a.split(), b.split(), name=name or None, **more) for name, op, a, b, more in nodes],
        path.stem,
        [value(taken[0], kind, taken[1])],
        [value("probabilities", kind, ["batch", None])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def credit(edit: Edit, folder: Path) -> Deployment:
    weights = credit_weights()
    edit(weights)
    model = save(folder / "credit.onnx", CREDIT, weights, ("features", ["batch", 6]))
    return _deployment(folder, model, model_samples.credit)


def shapes(edit: Edit, folder: Path) -> Deployment:
    weights = shape_weights()
    edit(weights)
    model = save(folder / "shapes.onnx", SHAPES, weights, ("image", ["batch", 3, 16, 16]))
    return _deployment(folder, model, pictures)


def _deployment(folder: Path, model: Path, sample: Sample) -> Deployment:
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", sample(np.random.default_rng(1), 40)),
        training_data=write_training(folder / "training.npz", sample(np.random.default_rng(2), 300)),
        serve=lambda: unstuck({"onnx": model}),
    )


def _put(name: str, change: Callable[[np.ndarray], Any]) -> Edit:
    def edit(weights: Weights) -> None:
        weights[name] = np.asarray(change(weights[name]), np.float32)

    return edit


def _nothing(weights: Weights) -> None:
    """The twin."""


def _nan_in(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flat[3] = np.nan
    return values


def _case(
    name: str,
    cause: str | None,
    build: Callable[[Edit, Path], Deployment],
    edit: Edit,
    node: str = "",
    given: tuple[tuple[str, ...], ...] = (REQUESTS, TRAINING, BOTH),
) -> Case:
    return Case(name, "onnx", cause, lambda folder: build(edit, folder), given, {"node": (node,)} if node else {})


HALF = np.arange(32) < 16
HEALTHY = [
    _case("onnx-credit", None, credit, _nothing, given=(ALONE, REQUESTS, BOTH)),
    _case("onnx-shapes", None, shapes, _nothing, given=(ALONE, REQUESTS, BOTH)),
    _case("onnx-half-of-relu-dead", None, credit, _put("fc1.bias", lambda bias: bias + SHUT * HALF)),
    _case("onnx-very-confident", None, credit, _put("fc2.weight", lambda kernel: kernel * 6)),
]
FAULTS = [
    _case("onnx-relu-dead", "model/dead-activation", credit, _put("fc1.bias", lambda bias: bias + SHUT), "/act/Relu"),
    _case("onnx-relu6-full", "model/saturated-activation", shapes, _put("model/conv/bias:0", lambda bias: bias + 99),
          "model/conv/Relu6"),
    _case("onnx-class-pinned", "model/saturated-activation", credit,
          _put("fc2.bias", lambda bias: bias + np.array([90.0, 0.0])), "/softmax/Softmax"),
    _case("onnx-kernel-zero", "model/degenerate-weights", shapes,
          _put("model/head/kernel:0", lambda kernel: kernel * 0), "model/head/MatMul", (ALONE, REQUESTS, BOTH)),
    _case("onnx-nan", "model/non-finite", credit, _put("fc2.weight", _nan_in), "/fc2/Gemm", (ALONE, REQUESTS, BOTH)),
]  # fmt: skip
CASES = [*FAULTS, *HEALTHY]
