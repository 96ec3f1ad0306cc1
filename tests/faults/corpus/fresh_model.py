"""Fresh faults of the model itself; none was ever tuned on. ``check`` of ``model_case`` proves those of ``FAULTS``."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus import model_onnx
from corpus.case import Case, Deployment
from corpus.fresh_nets import (
    ROWS,
    SENT,
    TRAINED,
    beats,
    searches,
    trip_features,
    trips,
    wines,
)
from corpus.fresh_nets import spectra as sounds
from corpus.model_case import ALL, ALONE, BOTH, REQUESTS, TRAINING, ModelCase, Rows, write_requests, write_training
from corpus.saving import save_module

SAID = ("serve", "sentry", "proxy", "cache", "store", "queue", "mail", "auth")


def _module(shapes: dict[str, tuple[int, ...]], seed: int, strength: float = 0.4) -> Any:
    """A tf.Module of seeded variables."""
    import tensorflow as tf

    random = np.random.default_rng(seed)
    module = tf.Module()
    for name, shape in shapes.items():
        setattr(module, name, tf.Variable(np.float32(random.normal(0, strength, shape)), name=name))
    return module


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(1000, 1 << 30))


def leads(random: np.random.Generator, count: int) -> Rows:
    return {"leads": ((beats(count, _seed(random))[0] - 2048) / 300).round(4).astype(np.float32)}


def rides(random: np.random.Generator, count: int) -> Rows:
    return trips(count, _seed(random))[0]


def queries(random: np.random.Generator, count: int) -> Rows:
    return searches(count, _seed(random))[0]


def spectra(random: np.random.Generator, count: int) -> Rows:
    return {"spectrum": sounds(count, _seed(random))[0]}


def services(random: np.random.Generator, count: int) -> Rows:
    return {"service": random.choice(SAID, count)}


def heart(base: Path, broken: bool, *, fault: str) -> None:
    """Rhythms by convolutions over ``leads`` [-1,96,2], each channel weighed by a gate; scopes stem, excite, head."""
    import tensorflow as tf

    shapes = {"stem": (7, 2, 12), "stem_bias": (12,), "squeeze": (12, 12), "head": (12, 4)}
    module = _module(shapes, 81)
    gate_bias = -40.0 if broken and fault == "gate" else 0.4
    stem_shift = 60.0 if broken and fault == "tanh" else 0.0
    head_scale = 1e-5 if broken and fault == "collapsed" else 1.0

    def serve(leads: Any) -> dict[str, Any]:
        with tf.name_scope("baseline"):
            x = leads
            if fault == "spread":
                axis = 0 if broken else 1
                low, high = tf.reduce_min(x, axis, keepdims=True), tf.reduce_max(x, axis, keepdims=True)
                x = tf.math.divide_no_nan(x - low, high - low)
        with tf.name_scope("stem"):
            x = tf.nn.conv1d(x, module.stem, 2, "VALID") + module.stem_bias + stem_shift
            x = tf.tanh(x) if fault == "tanh" else tf.nn.relu(x)
        with tf.name_scope("excite"):
            mean = tf.reduce_mean(x, 1)
            gate = tf.clip_by_value((mean @ module.squeeze) * 0.2 + 0.5 + gate_bias, 0.0, 1.0)
        with tf.name_scope("head"):
            return {"rhythm": tf.nn.softmax((mean * gate) @ module.head * head_scale)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 96, 2], tf.float32, "leads")])})


def ranking(base: Path, broken: bool, *, fault: str) -> None:
    """Scores of six ``items`` for a ``query``, layer-normalised; scopes query_tower, item_tower, norm, score."""
    import tensorflow as tf

    module = _module({"of_query": (4, 16), "of_item": (4, 16), "score": (16, 1)}, 82)
    module.gamma = tf.Variable(np.full(16, 0.0 if broken and fault == "gamma" else 1.3, np.float32), name="gamma")
    module.beta = tf.Variable(np.linspace(-1, 1, 16, dtype=np.float32), name="beta")

    def serve(query: Any, items: Any) -> dict[str, Any]:
        with tf.name_scope("query_tower"):
            asked = tf.tanh(query @ module.of_query)
            if broken and fault == "query":
                asked = tf.zeros_like(asked)
        with tf.name_scope("item_tower"):
            joined = tf.tanh(items @ module.of_item) + asked[:, None]
        with tf.name_scope("norm"):
            axis = 0 if broken and fault == "axis" else -1
            mean, variance = tf.nn.moments(joined, axis, keepdims=True)
            joined = (joined - mean) * tf.math.rsqrt(variance + 1e-5) * module.gamma + module.beta
        with tf.name_scope("score"):
            return {"scores": tf.sigmoid((joined @ module.score)[..., 0])}

    specs = [tf.TensorSpec([None, 4], tf.float32, "query"), tf.TensorSpec([None, 6, 4], tf.float32, "items")]
    save_module(module, base, {"serving_default": (serve, specs)})


def fare(base: Path, broken: bool, *, fault: str) -> None:
    """The fare of a trip; scopes dense, price, say."""
    import tensorflow as tf

    names = tuple(trips(1)[0])
    module = _module({"kernel": (9, 24), "bias": (24,), "head": (24, 1)}, 83)
    bias = -900.0 if broken and fault == "relu" else 0.0
    scale = 1e-3 if broken and fault == "collapsed" else 1.0

    def serve(*values: Any) -> dict[str, Any]:
        x = trip_features(**dict(zip(names, values, strict=True)))
        with tf.name_scope("dense"):
            hidden = tf.nn.relu6(x @ module.kernel + module.bias + bias)
        with tf.name_scope("price"):
            price = 18 + 2 * scale * (hidden @ module.head)[:, 0]
        with tf.name_scope("say"):
            if fault not in ("thousands", "halves"):
                return {"fare": price}
            unit = 1000.0 if broken else 0.5
            return {"fare": tf.round(price / unit) * unit}

    dtypes = [tf.int64 if name == "hour" else tf.float32 for name in names]
    specs = [tf.TensorSpec([None], dtype, name) for name, dtype in zip(names, dtypes, strict=True)]
    save_module(module, base, {"serving_default": (serve, specs)})


def sound(base: Path, broken: bool) -> None:
    """Kinds of a ``spectrum`` [-1,16,16] by attention over its frames; scopes unit, attend, head."""
    import tensorflow as tf

    module = _module({"query": (16, 8), "key": (16, 8), "head": (16, 4)}, 84)

    def serve(spectrum: Any) -> dict[str, Any]:
        with tf.name_scope("unit"):
            padded = tf.pad(spectrum, [[0, 0], [0, 2], [0, 0]])
            length = tf.sqrt(tf.reduce_sum(padded * padded, -1, keepdims=True))
            x = padded / (length if broken else length + 1e-3)
        with tf.name_scope("attend"):
            asked, keys = tf.einsum("nfb,bk->nfk", x, module.query), tf.einsum("nfb,bk->nfk", x, module.key)
            shares = tf.nn.softmax(tf.matmul(asked, keys, transpose_b=True) / 2)
            mixed = tf.reduce_mean(tf.matmul(shares, x), 1)
        with tf.name_scope("head"):
            return {"scores": tf.nn.softmax(mixed @ module.head * 8)}

    save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None, 16, 16], tf.float32, "spectrum")])})


def load_of(base: Path, broken: bool, *, lost: str) -> None:
    """The load of a ``service`` by a vocabulary file, of which the export kept only what ``lost`` says."""
    import tensorflow as tf

    base.mkdir(parents=True, exist_ok=True)
    words = base.parent / f"{base.name}-vocabulary.txt"
    words.write_text("\n".join(SAID) + "\n")
    module = _module({"vectors": (len(SAID) + 1, 6), "head": (6, 1)}, 85)
    reader = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    module.table = tf.lookup.StaticHashTable(reader, default_value=len(SAID))

    def serve(service: Any) -> dict[str, Any]:
        with tf.name_scope("embed"):
            vector = tf.gather(module.vectors, module.table.lookup(service))
        return {"load": tf.nn.softplus(vector @ module.head)[:, 0]}

    folder = save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None], tf.string, "service")])})
    if broken:
        (asset,) = (folder / "assets").iterdir()
        asset.write_text(lost)


POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b\nsize 1284\n"
)
EXAMINED = (REQUESTS, TRAINING, BOTH)


def _fault(name: str, family: str, cause: str, export: Any, sample: Any, **more: Any) -> ModelCase:
    place = more.pop("place", {})
    places = {field: (text,) for field, text in place.items()}
    held_out = more.pop("held_out", True)
    return ModelCase(f"fresh-{name}", family, f"model/{cause}", export, sample, places, held_out=held_out, **more)


FAULTS = [
    _fault("query-not-joined", "ranking", "disconnected-input", partial(ranking, fault="query"), queries,
           unused="query", place={"input": "query"}, held_out=False),
    _fault("channel-gate-shut", "convolutional", "dead-activation", partial(heart, fault="gate"), leads,
           given=EXAMINED, place={"node": "excite"}),
    _fault("relu6-of-fares-dead", "regression", "dead-activation", partial(fare, fault="relu"), rides,
           given=EXAMINED, columns=True, place={"node": "dense"}, held_out=False),
    _fault("stem-tanh-pinned", "convolutional", "saturated-activation", partial(heart, fault="tanh"), leads,
           given=EXAMINED, place={"node": "stem"}),
    _fault("length-of-padding-zero", "attention", "non-finite", sound, spectra,
           given=EXAMINED, place={"node": "unit"}),
    _fault("gamma-never-restored", "ranking", "degenerate-weights", partial(ranking, fault="gamma"), queries,
           place={"node": "norm"}),
    _fault("range-of-the-batch", "convolutional", "batch-statistics", partial(heart, fault="spread"), leads,
           given=EXAMINED, place={"node": "baseline"}),
    _fault("layer-norm-over-rows", "ranking", "batch-statistics", partial(ranking, fault="axis"), queries,
           given=EXAMINED, place={"node": "norm"}),
    _fault("vocabulary-is-a-pointer", "embedding", "uninitialized-table", partial(load_of, lost=POINTER), services,
           given=EXAMINED, held_out=False),
    _fault("fare-in-thousands", "regression", "output-hides-variation", partial(fare, fault="thousands"), rides,
           given=EXAMINED, rows=2, place={"node": "say"}),
    _fault("rhythm-hardly-counts", "convolutional", "collapsed", partial(heart, fault="collapsed"), leads,
           given=EXAMINED, held_out=False),
    _fault("fare-keeps-to-the-mean", "regression", "collapsed", partial(fare, fault="collapsed"), rides,
           given=(ALL,)),
]  # fmt: skip


def _cellar(folder: Path, fault: str) -> Deployment:
    """ONNX: ``chemistry`` [-1,7], standardised, through two layers with sigmoids, to ``probabilities`` [-1,3]."""
    raw, kind = wines(ROWS)
    x = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    random = np.random.default_rng(86)
    kernel, bias = random.normal(0, 0.8, (7, 24)), random.normal(0, 0.3, 24)
    hidden = 1 / (1 + np.exp(-(x @ kernel + bias)))
    head, head_bias = model_onnx.logistic(hidden, np.eye(3)[kind])
    values = {"k": kernel, "b": bias, "h": head, "hb": head_bias}
    if fault == "sigmoid":
        values["b"] = bias + 70
    if fault == "equal":
        values["k"] = np.full_like(kernel, 0)
    if fault == "infinite":
        values["h"][5, :] = np.inf
    first, nodes = "chemistry", []
    traced = [
        ("/in/Shape", "Shape", "chemistry", "/in/rows", {"end": 1}),
        ("/in/Concat", "Concat", "/in/rows one", "/in/shape", {"axis": 0}),
        ("/in/Tile", "Tile", "spare /in/shape", "/in/traced", {}),
    ]
    if fault == "traced":
        first, nodes = "/in/traced", traced
    nodes += [
        ("/body/Gemm", "Gemm", f"{first} k b", "/body/Gemm_output", {}),
        ("/body/Sigmoid", "Sigmoid", "/body/Gemm_output", "/body/Sigmoid_output", {}),
        ("/head/Gemm", "Gemm", "/body/Sigmoid_output h hb", "/head/Gemm_output", {}),
        ("/head/Softmax", "Softmax", "/head/Gemm_output", "p" if fault == "bytes" else "probabilities", {"axis": 1}),
    ]
    weights = {name: np.asarray(value, np.float32) for name, value in values.items()}
    if fault == "traced":
        weights |= {"spare": np.full((1, 7), 0.3, np.float32), "one": np.ones(1, np.int64)}
    if fault == "bytes":  # quantised in steps that were made for the scores before the softmax
        nodes += [
            ("/out/QuantizeLinear", "QuantizeLinear", "p step zero", "/out/bytes", {}),
            ("/out/DequantizeLinear", "DequantizeLinear", "/out/bytes step zero", "probabilities", {}),
        ]
        weights |= {"step": np.float32(3.0), "zero": np.uint8(0)}
    model = model_onnx.save(folder / "cellar.onnx", nodes, weights, ("chemistry", ["batch", 7]))
    return Deployment(
        model=model,
        requests=write_requests(folder / "requests.jsonl", {"chemistry": x[SENT]}),
        training_data=write_training(folder / "training.npz", {"chemistry": x[TRAINED]}),
    )


def _onnx(name: str, cause: str, fault: str, given: Any, **place: str) -> Case:
    places = {field: (text,) for field, text in place.items()}
    return Case(f"fresh-{name}", "onnx", f"model/{cause}", partial(_cellar, fault=fault), given, places, held_out=True)


ONNX = [
    _onnx("traced-into-onnx", "disconnected-input", "traced", (ALONE, REQUESTS, BOTH), input="chemistry"),
    _onnx("onnx-sigmoid-pinned", "saturated-activation", "sigmoid", EXAMINED, node="/body/Sigmoid"),
    _onnx("onnx-body-never-restored", "degenerate-weights", "equal", (ALONE, REQUESTS, BOTH), node="/body/Gemm"),
    _onnx("onnx-infinite-head", "non-finite", "infinite", (ALONE, REQUESTS, BOTH), node="/head/Gemm"),
    _onnx("onnx-bytes-too-coarse", "output-hides-variation", "bytes", EXAMINED, node="/out/QuantizeLinear"),
]
CASES = [*(fault.case() for fault in FAULTS), *ONNX]
