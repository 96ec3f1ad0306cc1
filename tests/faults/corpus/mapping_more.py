"""Right values in the wrong place, inside an exported graph or on a client's way: more families and mechanisms."""

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, fitting, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.given import (
    MODEL_GOLDEN,
    MODEL_REQUESTS,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_REQUESTS_TRAINING,
)
from corpus.graph_models import network_logits, network_module
from corpus.saving import save_module
from corpus.server import Hooks

SIGNATURE = "serving_default"
Body = Callable[..., Mapping[str, Any]]


def _net(inputs: np.ndarray, target: np.ndarray) -> Any:
    flat = inputs.reshape(len(inputs), -1)
    return network_module(fitting.network(flat, target))


def _saved(module: Any, base: Path, body: Body, *specs: Any, **others: Body) -> Path:
    bodies = {SIGNATURE: body, **others}
    return save_module(module, base, {name: (each, specs) for name, each in bodies.items()})


def _spec(name: str, *shape: int) -> Any:
    import tensorflow as tf

    return tf.TensorSpec([None, *shape], tf.float32, name)


def _softmax(module: Any, x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(network_logits(module, x))


def auxiliary_head(folder: Path) -> Deployment:
    """Of two heads over a mean of word vectors, the one trained as an auxiliary task is served."""
    import tensorflow as tf

    texts, labels = datasets.sentences(600, seed=41)
    vectors = np.random.default_rng(5).normal(0, 1, (len(datasets.VOCABULARY), 40)).astype(np.float32)

    def pooled(ids: np.ndarray) -> np.ndarray:
        return vectors[ids].mean(1) * 3

    ids = datasets.token_ids(texts)
    module = tf.Module()
    module.topic = _net(pooled(ids), labels)
    module.auxiliary = _net(pooled(ids), ((ids != 0).sum(1) // 2) % 4)

    def head(net: Any) -> Body:
        return lambda features: {"scores": _softmax(net, features)}

    bodies = {"topic": head(module.topic)}
    spec = _spec("features", 40)
    wrong = _saved(module, folder / "topics", head(module.auxiliary), spec, **bodies)
    right = _saved(module, folder / "right", head(module.topic), spec)
    sent = {"features": pooled(datasets.token_ids(datasets.sentences(40, seed=42)[0])).astype(np.float32)}
    return deploy(folder, wrong, sent, right=sent, right_model=right)


def _quantiles(base: Path, names: tuple[str, ...]) -> Path:
    import tensorflow as tf

    raw, price = datasets.house_matrix(600, seed=43)
    module = tf.Module()
    module.parts = [_net(fitting.standardize(raw, raw), price.astype(np.float64) * by) for by in (0.8, 1.0, 1.3)]

    def body(features: Any) -> Mapping[str, Any]:
        x = (features - raw.mean(0)) / raw.std(0)
        return {name: network_logits(net, x) for name, net in zip(names, module.parts, strict=True)}

    return _saved(module, base, body, _spec("features", 5))


def quantiles_rotated(folder: Path) -> Deployment:
    """The three quantiles of a price are exported under one another's names."""
    wrong = _quantiles(folder / "price", ("high", "low", "middle"))
    right = _quantiles(folder / "right", ("low", "middle", "high"))
    sent = {"features": datasets.house_matrix(40, seed=44)[0].astype(np.float32)}
    return deploy(folder, wrong, sent, right=sent, right_model=right)


def _series(base: Path, change: Callable[[Any], Any] = lambda x: x) -> Path:
    """Next temperature of ``series`` [-1,24,3], from the network's 72 inputs; ``change`` is baked in before it."""
    import tensorflow as tf

    series, following = datasets.sensors(600, seed=45)
    mean, deviation = series.mean((0, 1)), series.std((0, 1))
    module = _net((series - mean) / deviation, following.astype(np.float64))

    def body(series: Any) -> Mapping[str, Any]:
        x = change((series - mean) / deviation)
        return {"forecast": network_logits(module, tf.reshape(x, [-1, 72]))}

    return _saved(module, base, body, _spec("series", 24, 3))


def _of_series(folder: Path, change: Callable[[Any], Any]) -> Deployment:
    wrong, right = _series(folder / "weather", change), _series(folder / "right")
    sent = {"series": datasets.sensors(40, seed=46)[0]}
    return deploy(folder, wrong, sent, right=sent, right_model=right)


def silenced_channel(folder: Path) -> Deployment:
    """The export multiplies the temperature's channel by 0, left from an ablation."""
    return _of_series(folder, lambda x: x * np.float32([0, 1, 1]))


def baked_reversal(folder: Path) -> Deployment:
    """The export reverses time, as training data once came newest first."""
    return _of_series(folder, lambda x: x[:, ::-1])


def baked_flattening(folder: Path) -> Deployment:
    """The export flattens channel by channel, the network was fitted hour by hour."""
    import tensorflow as tf

    return _of_series(folder, lambda x: tf.transpose(x, [0, 2, 1]))


def _houses(base: Path, lost: str = "") -> Path:
    """Price of five inputs [-1,1]; ``lost`` is replaced by its mean in training."""
    import tensorflow as tf

    raw, price = datasets.house_matrix(600, seed=47)
    mean, deviation = raw.mean(0), raw.std(0)
    module = _net(fitting.standardize(raw, raw), price.astype(np.float64))

    def body(**columns: Any) -> Mapping[str, Any]:
        parts = [columns[name] for name in datasets.HOUSE_COLUMNS]
        if lost:
            at = datasets.HOUSE_COLUMNS.index(lost)
            parts[at] = tf.zeros_like(parts[at]) + np.float32(mean[at])
        return {"price": network_logits(module, (tf.concat(parts, axis=1) - mean) / deviation)}

    specs = {name: _spec(name, 1) for name in datasets.HOUSE_COLUMNS}
    return save_module(module, base, {SIGNATURE: (_by_name(body, specs), list(specs.values()))})


def _by_name(body: Body, names: Mapping[str, Any]) -> Body:
    return lambda *values: body(**dict(zip(names, values, strict=True)))


def default_in_graph(folder: Path) -> Deployment:
    """The export replaces distance_km by its default."""
    wrong, right = _houses(folder / "price", "distance_km"), _houses(folder / "right")
    columns = {name: values[:, None] for name, values in datasets.houses(40, seed=48)[0].items()}
    return deploy(folder, wrong, columns, right=columns, right_model=right)


def _parser(base: Path, keys: Mapping[str, str]) -> Path:
    import tensorflow as tf

    raw, bad = datasets.credit_matrix(600, seed=49)
    mean, deviation = raw.mean(0), raw.std(0)
    module = _net(fitting.standardize(raw, raw), bad.astype(int))
    read = {name: keys.get(name, name) for name in datasets.CREDIT_COLUMNS}

    def body(examples: Any) -> Mapping[str, Any]:
        wanted = {key: tf.io.FixedLenFeature([], tf.float32, float(mean[at])) for at, key in enumerate(read.values())}
        parsed = tf.io.parse_example(examples, wanted)
        x = tf.stack([parsed[key] for key in read.values()], axis=1)
        return {"risk": _softmax(module, (x - mean) / deviation)[:, 1]}

    return _saved(module, base, body, tf.TensorSpec([None], tf.string, "examples"))


def _examples(rows: int, seed: int) -> np.ndarray:
    import tensorflow as tf

    def feature(value: float) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))

    raw, _ = datasets.credit_matrix(rows, seed=seed)
    named = [{name: feature(v) for name, v in zip(datasets.CREDIT_COLUMNS, row, strict=True)} for row in raw]
    made = [tf.train.Example(features=tf.train.Features(feature=each)).SerializeToString() for each in named]
    return np.array(made, object)


def misnamed_key(folder: Path) -> Deployment:
    """The parser in the graph looks for ``debts`` and takes the default."""
    wrong, right = _parser(folder / "risk", {"debt": "debts"}), _parser(folder / "right", {})
    sent = {"examples": _examples(40, 50)}
    return deploy(folder, wrong, sent, right=sent, right_model=right)


def _pictures(base: Path, *, flat: bool = False, channels: int = 3) -> Path:
    import tensorflow as tf

    pictures, labels = datasets.images(600, 16, channels, seed=51)
    pooled = pictures.reshape(600, 8, 2, 8, 2, channels).mean((2, 4)) / 255
    module = _net(pooled * 2, labels)

    def body(image: Any) -> Mapping[str, Any]:
        x = tf.nn.avg_pool2d(tf.reshape(image, [-1, 16, 16, channels]), 2, 2, "VALID")
        return {"scores": _softmax(module, tf.reshape(x * 2, [-1, 64 * channels]))}

    shape = (256 * channels,) if flat else (16, 16, channels)
    return _saved(module, base, body, _spec("image", *shape))


def _of_pictures(
    folder: Path, change: Callable[[np.ndarray], np.ndarray], *, flat: bool = False, channels: int = 3
) -> Deployment:
    def sent(rows: int, seed: int) -> np.ndarray:
        return (datasets.images(rows, 16, channels, seed=seed)[0] / 255).astype(np.float32)

    shape = (-1, 256 * channels) if flat else (-1, 16, 16, channels)
    pictures = sent(48, 52)
    return deploy(
        folder,
        _pictures(folder / "pictures", flat=flat, channels=channels),
        {"image": np.ascontiguousarray(change(pictures)).reshape(shape)},
        training={"image": sent(200, 53).reshape(shape)},
        meant={"image": pictures.reshape(shape)},
    )


def channels_first(folder: Path) -> Deployment:
    """The client's tensors are channels first, sent in the declared shape."""
    return _of_pictures(folder, lambda x: x.transpose(0, 3, 1, 2))


def columns_first(folder: Path) -> Deployment:
    """The client's pictures are indexed [x, y]."""
    return _of_pictures(folder, lambda x: x.transpose(0, 2, 1, 3))


def flat_channels_first(folder: Path) -> Deployment:
    """The client flattens channels first."""
    return _of_pictures(folder, lambda x: x.transpose(0, 3, 1, 2), flat=True)


def flat_columns_first(folder: Path) -> Deployment:
    """The client flattens grey pictures column by column."""
    return _of_pictures(folder, lambda x: x.transpose(0, 2, 1, 3), flat=True, channels=1)


def _client_series(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Deployment:
    series = datasets.sensors(48, seed=54)[0]
    return deploy(
        folder,
        _series(folder / "weather"),
        {"series": np.ascontiguousarray(change(series)).reshape(series.shape)},
        training={"series": datasets.sensors(200, seed=55)[0]},
        meant={"series": series},
    )


def channel_major_series(folder: Path) -> Deployment:
    """The client sends one sensor after the other."""
    return _client_series(folder, lambda x: x.transpose(0, 2, 1))


def sensors_rotated(folder: Path) -> Deployment:
    """The client's sensors come in alphabetical order."""
    return _client_series(folder, lambda x: x[..., [2, 1, 0]])


def _kept(folder: Path, keep: Callable[[Any], Any]) -> Deployment:
    raw, bad = datasets.credit_matrix(600, seed=56)
    mean, deviation = raw.mean(0), raw.std(0)
    module = _net(fitting.standardize(raw, raw), bad.astype(int))

    def body(features: Any) -> Mapping[str, Any]:
        return {"score": keep(_softmax(module, (features - mean) / deviation)[:, 1:])}

    model = _saved(module, folder / "risk", body, _spec("features", 6))
    return deploy(folder, model, {"features": datasets.credit_matrix(40, seed=57)[0].astype(np.float32)})


def last_row_kept(folder: Path) -> Deployment:
    """The export tiles the last row's answer."""
    import tensorflow as tf

    return _kept(folder, lambda scores: tf.zeros_like(scores) + scores[-1:])


def one_answer(folder: Path) -> Deployment:
    """The export answers a batch with its first row's answer alone."""
    return _kept(folder, lambda scores: scores[:1])


def stale_replica(folder: Path) -> Deployment:
    """Of two replicas, one was not restarted: every other call is answered by version 1."""
    base = folder / "risk"
    models.dense_tabular(base, version=1, seed=3)
    models.dense_tabular(base, version=2, seed=23)
    calls = count()
    hooks = Hooks(route=lambda version, signature: (1 + next(calls) % 2, signature))
    return deploy(folder, base, {"features": models.standardized_credit(40, 58)}, hooks=hooks)


_DROPPED, _LAYOUT = "mapping/dropped-feature", "mapping/wrong-layout"
_SIGNATURE, _BROADCAST = "mapping/wrong-signature", "mapping/batch-broadcast"
_BAKED = (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN)
_CLIENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING)
_IMAGE, _SERIES = {"input": ("image",)}, {"input": ("series",)}

CASES = [
    Case("more-auxiliary-head", "embedding", _SIGNATURE, auxiliary_head, _BAKED, {"signature": ("topic",)}),
    Case("more-quantiles-rotated", "multi-output", _SIGNATURE, quantiles_rotated, _BAKED, {"output": ("low",)}),
    Case("more-silenced-channel", "regression", _DROPPED, silenced_channel, _BAKED, {"feature": ("series",)}),
    Case("more-default-in-graph", "tabular", _DROPPED, default_in_graph, _BAKED, {"feature": ("distance_km",)}),
    Case("more-misnamed-key", "module", _DROPPED, misnamed_key, _BAKED, {"feature": ("debt",)}),
    Case("more-baked-reversal", "module", _LAYOUT, baked_reversal, _BAKED, _SERIES),
    Case("more-baked-flattening", "module", _LAYOUT, baked_flattening, _BAKED, _SERIES),
    Case("more-channels-first", "module", _LAYOUT, channels_first, _CLIENT, _IMAGE),
    Case("more-columns-first", "module", _LAYOUT, columns_first, _CLIENT, _IMAGE),
    Case("more-flat-channels-first", "module", _LAYOUT, flat_channels_first, _CLIENT, _IMAGE),
    Case("more-flat-columns-first", "module", _LAYOUT, flat_columns_first, _CLIENT, _IMAGE),
    Case("more-channel-major-series", "module", _LAYOUT, channel_major_series, _CLIENT, _SERIES),
    Case("more-sensors-rotated", "module", _LAYOUT, sensors_rotated, _CLIENT, _SERIES),
    Case("more-last-row-kept", "module", _BROADCAST, last_row_kept, (MODEL_REQUESTS,)),
    Case("more-one-answer", "module", _BROADCAST, one_answer, (MODEL_REQUESTS,)),
    Case("more-stale-replica", "dense", "mapping/wrong-version", stale_replica, (TARGET_MODEL_REQUESTS,)),
]
