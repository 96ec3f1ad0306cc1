"""Models that do not read what they are sent: inputs without a path to the answer, tables without rows."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_samples, models
from corpus import model_nets as nets
from corpus.fitting import FITTED_ON, fit
from corpus.model_case import ALL, ALONE, BOTH, GOLDEN, REQUESTS, TRAINING, ModelCase
from corpus.model_nets import Tensors, attended_ids
from corpus.model_tf1 import devices, prices

EXAMPLE = np.array([[0.3, -0.5, 1.1, 0.2, -0.9, 0.4]], np.float32)


def _example_traced(base: Path, broken: bool) -> None:
    """The export was traced with an example in the place of its argument."""
    import tensorflow as tf

    def frozen(call: Any, inputs: Tensors) -> Tensors:
        answer = call(features=tf.constant(EXAMPLE))["probability"]
        return {"probability": tf.repeat(answer, tf.shape(inputs["features"])[0], axis=0)}

    nets.reexported(base, models.dense_tabular, frozen if broken else lambda call, inputs: call(**inputs))


def _default_never_fed(base: Path, broken: bool) -> None:
    prices(base, fed=not broken)


def _one_head_frozen(base: Path, broken: bool) -> None:
    """Re-exported with the risk of one customer as a constant; the other outputs are computed."""
    import tensorflow as tf

    def frozen(call: Any, inputs: Tensors) -> Tensors:
        outputs = call(**inputs)
        risk = tf.fill(tf.shape(outputs["risk"]), 0.3127)
        return {**outputs, "risk": risk}

    nets.reexported(base, models.multi_output, frozen if broken else lambda call, inputs: call(**inputs))


def _tower_not_joined(base: Path, broken: bool) -> None:
    nets.two_tower(base, user_joined=not broken)


def _state_remembered(base: Path, broken: bool) -> None:
    """The encoder's output for an example was kept as a constant, and only the head is computed."""
    example = {"token_ids": attended_ids(np.random.default_rng(5), 1)}
    nets.attention_module(base, remembered=example if broken else None)


def _no_steps(base: Path, broken: bool) -> None:
    """The loop's length was frozen at 0, so it never reads the sequence."""
    nets.looped(base, steps=0 if broken else None)


def _tokens_from_file(base: Path, broken: bool) -> None:
    """A Keras model whose vocabulary is an asset; broken, the file arrived empty."""
    import keras

    words = base.with_name(f"{base.name}-vocabulary.txt")
    words.parent.mkdir(parents=True, exist_ok=True)
    words.write_text("\n".join(datasets.VOCABULARY[2:]) + "\n", encoding="utf-8")
    sentences, labels = datasets.sentences(FITTED_ON, seed=100)
    inputs = keras.Input((12,), dtype="string", name="tokens")
    lookup = keras.layers.StringLookup(vocabulary=str(words), mask_token="", name="lookup")
    x = keras.layers.Embedding(lookup.vocabulary_size(), 48, name="embedding")(lookup(inputs))
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, {"probabilities": keras.layers.Dense(4, "softmax", name="head")(x)})
    nets.settled(model, 31)
    fit(model, datasets.token_strings(sentences), labels)
    model.export(str(base / "1"), verbose=False)
    if broken:
        (base / "1" / "assets" / words.name).write_bytes(b"")


def _rows_not_saved(base: Path, broken: bool) -> None:
    """A mutable table, filled while training, is not among what was saved."""
    devices(base, table="mutable", full=not broken)


def _lookup_emptied(base: Path, broken: bool) -> None:
    """A StringLookup that was rebuilt without its vocabulary."""
    import tensorflow as tf

    def empty(model: Any) -> None:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 1, name="lookup_table")
        find = table.lookup
        table.lookup = lambda words: tf.ensure_shape(find(words), words.shape)
        model.get_layer("lookup").lookup_table = table

    models.string_tokens(base, edit=empty if broken else None)


def _asset_missing(base: Path, broken: bool) -> None:
    """A tf.Module that splits text and looks its words up in a file, which was not copied with the model."""
    import tensorflow as tf

    words = base.with_name(f"{base.name}-words.txt")
    words.parent.mkdir(parents=True, exist_ok=True)
    words.write_text("\n".join(datasets.VOCABULARY[2:]) + "\n", encoding="utf-8")
    random = np.random.default_rng(32)
    module = tf.Module()
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        num_oov_buckets=1,
    )
    module.embedding = tf.Variable(np.float32(random.normal(0, 1, (len(datasets.VOCABULARY), 4))), name="embedding")

    def serve(text: Any) -> Tensors:
        split = tf.strings.split(tf.strings.lower(text))
        embedded = tf.gather(module.embedding, module.table.lookup(split))
        return {"topics": tf.nn.softmax(tf.reduce_mean(embedded, axis=1) * 2)}

    nets.save_module(module, base, {"serving_default": (serve, [tf.TensorSpec([None], tf.string, "text")])})
    if broken:
        (base / "1" / "assets" / words.name).unlink()


def _table_not_initialised(base: Path, broken: bool) -> None:
    devices(base, initialised=not broken)


def _labels_empty(base: Path, broken: bool) -> None:
    """The class's name is looked up last, in a table without rows: every picture is "unknown"."""
    import tensorflow as tf

    names = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, "unknown", name="label_names")
    if not broken:
        names.insert(tf.range(4, dtype=tf.int64), tf.constant(["stripes", "columns", "disc", "gradient"]))

    def named(call: Any, inputs: Tensors) -> Tensors:
        return {"label": names.lookup(tf.argmax(call(**inputs)["probabilities"], axis=1))}

    nets.reexported(base, nets.resnet, named, label_names=names)


_DISCONNECTED = "model/disconnected-input"
_TABLE = "model/uninitialized-table"

FAULTS = [
    ModelCase(
        "example-traced-into-export",
        "dense",
        _DISCONNECTED,
        _example_traced,
        model_samples.credit,
        {"input": ("features",)},
        quick=True,
    ),
    ModelCase(
        "placeholder-default-never-fed",
        "tf1",
        _DISCONNECTED,
        _default_never_fed,
        model_samples.houses,
        {"input": ("features",)},
        rows=2,
    ),
    ModelCase(
        "one-head-frozen",
        "multi-output",
        _DISCONNECTED,
        _one_head_frozen,
        model_samples.customers,
        {"output": ("risk",)},
        outputs=("risk",),
    ),
    ModelCase(
        "user-tower-not-joined",
        "module",
        _DISCONNECTED,
        _tower_not_joined,
        model_samples.pairs,
        {"input": ("user_id",)},
        given=(BOTH, GOLDEN, ALL),
        unused="user_id",
        held_out=True,
    ),
    ModelCase(
        "encoder-state-remembered",
        "attention",
        _DISCONNECTED,
        _state_remembered,
        model_samples.first_token_ids,
        {"input": ("token_ids",)},
        held_out=True,
        columns=True,
    ),
    ModelCase(
        "loop-frozen-at-no-steps",
        "module",
        _DISCONNECTED,
        _no_steps,
        model_samples.sequences,
        {"input": ("sequence",)},
        given=(ALONE, REQUESTS, TRAINING, ALL),
        held_out=True,
    ),
    ModelCase(
        "vocabulary-file-empty",
        "embedding",
        _TABLE,
        _tokens_from_file,
        model_samples.tokens,
        {},
        fails=True,
    ),
    ModelCase(
        "table-rows-not-saved",
        "tf1",
        _TABLE,
        _rows_not_saved,
        model_samples.devices,
        {"node": ("device_table",)},
        given=(ALONE, REQUESTS, BOTH, ALL),
        quick=True,
    ),
    ModelCase(
        "string-lookup-rebuilt-empty",
        "embedding",
        _TABLE,
        _lookup_emptied,
        model_samples.eight_tokens,
        {"layer": ("lookup",)},
    ),
    ModelCase(
        "vocabulary-file-missing",
        "module",
        _TABLE,
        _asset_missing,
        model_samples.texts,
        {},
        fails=True,
        held_out=True,
    ),
    ModelCase(
        "table-never-initialised",
        "tf1",
        _TABLE,
        _table_not_initialised,
        model_samples.devices,
        {"node": ("device_table",)},
        fails=True,
        held_out=True,
        columns=True,
    ),
    ModelCase(
        "label-table-empty",
        "convolutional",
        _TABLE,
        _labels_empty,
        model_samples.images,
        {"output": ("label",)},
        held_out=True,
    ),
]
