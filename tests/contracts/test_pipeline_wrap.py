"""A pipeline that does not fit its model is refused at load, and said where; one that fits wraps it, and bakes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from unstuck.engines.tensorflow import ENGINE
from unstuck.engines.tensorflow.bake import bake
from unstuck.engines.tensorflow.runtime import tf
from unstuck.errors import LoadFailed, SetupError
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.proto.wire.example_pb2 import Example
from unstuck.testing import models

# a, b and c are what the model takes.
RAW = {
    name: {"dtype": dtype, "shape": [*shape]}
    for name, dtype, *shape in (
        *(("a", "float", 2), ("b", "int64"), ("c", "string"), ("bits", "bool"), ("byte", "uint8"), ("one", "float")),
        *(("ints", "int32", 2), ("matrix", "float", 2, 2), ("texts", "string", 2), ("three", "float", 3)),
    )
}
IDS = "c | split | vocabulary: {tokens: [x], unknown: 0}"


def expression(text):
    """``from | step | step``, each in YAML; or concat, stack and constant."""
    source, *steps = map(yaml.safe_load, text.split(" | "))
    return {**(source if isinstance(source, dict) else {"from": source}), "steps": steps}


def names(value):
    """The raw inputs that an expression is made of."""
    if isinstance(value, str):
        return {value}
    parts = value.get("concat", []) + value.get("stack", []) + [value[key] for key in ("from",) if key in value]
    return set().union(*map(names, parts))


def declared(outputs=None, **inputs):
    """A pipeline of ``multi_io``: ``inputs`` as ``expression`` reads them, and every other one as it is."""
    expressions = {alias: expression(text) for alias, text in {"a": "a", "b": "b", "c": "c", **inputs}.items()}
    used = set().union(*map(names, expressions.values())) & RAW.keys()
    more = {"outputs": {alias: expression(text) for alias, text in outputs.items()}} if outputs else {}
    return {"raw": {name: RAW[name] for name in sorted(used)}, "inputs": expressions, **more}


@pytest.fixture(scope="module")
def multi_io(tmp_path_factory):
    """a float [-1,2], b int64 [-1], c string [-1] to total float [-1], doubled int64 [-1] and others."""
    return models.multi_io(tmp_path_factory.mktemp("wrap"))


@pytest.fixture
def load(tmp_path):
    """``load(version_path, signature=…)``: its servable, with these pipelines."""
    loaders = []

    def servable_of(version_path, **signatures):
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"signatures": signatures}, sort_keys=False))
        loaders.append(replace(ENGINE, pipeline_file=file).loader(version_path))
        return loaders[-1].load()

    yield servable_of
    for loader in loaders:
        loader.unload()


def answers(servable, name, **inputs):
    return servable.run(servable.signatures[name], inputs)


def text(*values):
    return np.array([value.encode() for value in values], object)


# By what is wrong: the input, what is said, and what the hint says.
REFUSED = {
    "another dtype": ("a", "ints", "inputs.a: it is int32, and the model takes float [-1,2]", "cast: {dtype: float}"),
    "text for numbers": ("b", "c", "inputs.b: it is string, and the model takes int64 [-1]", "vocabulary or hash"),
    "numbers for text": ("c", "b", "inputs.c: it is int64, and the model takes string [-1]", ""),
    "booleans for numbers": ("b", "bits", "inputs.b: it is bool, and the model takes int64 [-1]", ""),
    "another size": ("a", "three", "inputs.a: it has the shape [-1,3], and the model takes float [-1,2]", "reshape"),
    "another rank": ("b", "a | cast: {dtype: int64}", "inputs.b: it has the shape [-1,2]", "reshape"),
    "lists": ("c", "c | split", "inputs.c: its rows have different lengths", "pad"),
    "lists in concat": ("c", "{concat: [{from: c, steps: [split]}]}", "inputs.c.concat.0: its rows have different",
        "pad"),
    "softmax of lists": ("b", f"{IDS} | softmax", "inputs.b: step 2 (softmax): it takes numbers in a fixed shape",
        "pad"),
    "one_hot of lists": ("b", f"{IDS} | one_hot: {{depth: 2}}", "step 2 (one_hot): it takes numbers in a fixed shape",
        "pad"),
    "reshape of lists": ("c", "c | split | reshape: {shape: [2]}", "step 1 (reshape): it takes values of a fixed",
        "pad"),
    "text step on numbers": ("a", "a | lowercase", "inputs.a: step 0 (lowercase): it takes text, got float32", ""),
    "vocabulary of numbers": ("b", "b | vocabulary: {tokens: [x], unknown: 0}",
        "(vocabulary): it takes text, got int64", ""),
    "numbers step on text": ("c", "c | strip | log", "inputs.c: step 1 (log): it takes numbers, got string", ""),
    "numbers step on booleans": ("b", "bits | threshold: {at: 1}", "(threshold): it takes numbers, got bool", ""),
    "one_hot of floats": ("a", "a | one_hot: {depth: 2}", "(one_hot): it takes integers, got float32", ""),
    "split of texts": ("c", "texts | split", "(split): it takes one text a row, got shape [2]",
        "Its shape must be []."),
    "split of lists": ("c", "c | split | split", "step 1 (split): it takes one text a row, got shape [-1]",
        "Its shape must be []."),
    "pad without lists": ("c", "c | pad: {length: 2, value: ''}", "(pad): it takes lists of any length, which split",
        ""),
    "pad with text": ("b", f"{IDS} | pad: {{length: 2, value: ''}}", "step 2 (pad): its value '' is not int64", ""),
    "pad with fractions": ("b", f"{IDS} | pad: {{length: 2, value: 0.5}}", "step 2 (pad): its value 0.5 is not int64",
        ""),
    "pad with too much": ("b", f"{IDS} | pad: {{length: 2, value: 99999999999999999999}}",
        "step 2 (pad): its value 999", ""),
    "no vocabulary file": ("b", "c | vocabulary: {file: no.txt, unknown: 0}", "no.txt cannot be read", ""),
    "another encoding": ("b", "c | vocabulary: {file: latin1.txt, unknown: 0}", "latin1.txt cannot be read: 'utf-8'",
        ""),
    "an empty vocabulary": ("b", "c | vocabulary: {file: empty.txt, unknown: 0}", "its vocabulary is empty", ""),
    "lines twice": ("b", "c | vocabulary: {file: twice.txt, unknown: 0}", "its vocabulary has 1 entries twice", ""),
    "tokens twice": ("b", "c | vocabulary: {tokens: [x, y, x], unknown: 0}", "its vocabulary has 1 entries twice", ""),
    "ids too large": ("b", "c | vocabulary: {tokens: [x], unknown: 99999999999999999999}", "step 0 (vocabulary)", ""),
    "a pattern that is none": ("c", "c | replace: {pattern: (, by: x}",
        "step 0 (replace): its pattern '(' is not a regular expression of RE2", ""),
    "a group that is none": ("c", "c | replace: {pattern: x, by: '\\3'}",
        "names a group that its pattern does not have", ""),
    "dtypes in concat": ("a", "{concat: [a, b]}", "inputs.a.concat: its parts are float32 and int64", "cast"),
    "ranks in concat": ("a", "{concat: [a, matrix]}", "inputs.a.concat: its parts' rows have the shapes [2] and [2,2]",
        "reshape"),
    "ranks in stack": ("a", "{stack: [a, one]}", "inputs.a.stack: its parts' rows have the shapes [2] and []",
        "reshape"),
    "sizes in stack": ("a", "{stack: [a, three]}", "inputs.a.stack: its parts' rows have the shapes [2] and [3]",
        "reshape"),
    "a step in a part": ("a", "{concat: [one, {from: c, steps: [log]}]}",
        "inputs.a.concat.1: step 0 (log): it takes numbers", ""),
    "another count": ("a", "three | reshape: {shape: [2, 2]}", "a row of shape [3] cannot have the shape [2, 2]", ""),
    "no whole count": ("a", "three | reshape: {shape: [2, -1]}", "a row of shape [3] cannot have the shape [2, -1]",
        ""),
    "std 0": ("a", "a | z_score: {mean: 0, std: 0}", "inputs.a: step 0 (z_score): its std is 0", ""),
    "std 0 in one place": ("a", "a | z_score: {mean: 0, std: [1, 0]}", "inputs.a: step 0 (z_score): its std is 0", ""),
    "means of other places": ("a", "a | z_score: {mean: [1, 2, 3], std: 1}", "it has 3 numbers, got rows of shape [2]",
        ""),
    "means of one number": ("a", "one | z_score: {mean: [1, 2], std: 1}", "it has 2 numbers, got rows of shape []", ""),
    "min that is max": ("a", "a | min_max: {min: [0, 5], max: 5}", "(min_max): its min and max are equal", ""),
    "min above max": ("a", "a | clip: {min: 2, max: 1}", "inputs.a: step 0 (clip): its min is above its max", ""),
    "fractions in clip": ("b", "b | clip: {min: 0.5, max: 1}",
        "its min and max must be integers, as the value is int64", ""),
    "clip beyond the dtype": ("b", "byte | clip: {min: 300, max: 400}", "(clip): no uint8 is in its range", ""),
    "no statistics file": ("a", "a | z_score: {file: no.json, feature: x}", "no.json cannot be read: ", ""),
    "statistics that are no JSON": ("a", "a | z_score: {file: twice.txt, feature: x}", "twice.txt cannot be read", ""),
    "no such feature": ("a", "a | z_score: {file: statistics.json, feature: agee}",
        "(z_score): its file", "Did you mean 'age'?"),
    "a statistic that is not there": ("a", "a | z_score: {file: statistics.json, feature: size}",
        "feature 'size' has no mean; it has min, max, std", ""),
    "statistics of other places": ("a", "a | min_max: {file: statistics.json, feature: age}",
        "(min_max): it has 3 numbers, got rows of shape [2]", ""),
    "std 0 in a file": ("a", "a | z_score: {file: statistics.json, feature: age}", "(z_score): its std is 0", ""),
    "more than there are": ("a", "a | top_k: {k: 3, give: values}", "(top_k): its k is 3, got rows of shape [2]", ""),
    "the largest of one number": ("b", "b | top_k: {k: 1, give: values}", "it takes several numbers a row, got one",
        "[n]"),
    "dates of numbers": ("b", "b | date: {format: '%Y', give: year}", "(date): it takes text, got int64", ""),
    "unix seconds of text": ("b", "c | date: {format: unix, give: year}", "(date): it takes integers, got string", ""),
    "unix seconds of floats": ("b", "one | date: {format: unix, give: year}", "it takes integers, got float32", ""),
    "unix seconds that wrap": ("b", "b | cast: {dtype: uint64} | date: {format: unix, give: year}",
        "step 1 (date): it takes integers up to int64, got uint64", ""),
    "lists of dates": ("b", "c | split | date: {format: '%Y', give: year}", "it takes values of a fixed shape", "pad"),
    "invalid beyond int64": ("b", "c | date: {format: '%Y', give: year, invalid: 99999999999999999999}",
        "step 0 (date): ", ""),
    "text on a circle": ("a", "c | cyclic: {period: 7}", "(cyclic): it takes numbers, got string", ""),
    "integers for text": ("b", "c | vocabulary: {integers: [1], unknown: 0}", "it takes integers, got string", ""),
    "a file of text for integers": ("b", "b | vocabulary: {file: twice.txt, unknown: 0}",
        "its vocabulary for integers holds something else: ", ""),
    "integers twice": ("b", "b | vocabulary: {integers: [1, 2, 1], unknown: 0}", "has 1 entries twice", ""),
    "integers beyond int64": ("b", "b | vocabulary: {integers: [99999999999999999999], unknown: 0}",
        "its vocabulary for integers holds something else: ", ""),
    "buckets among ids": ("b", "c | vocabulary: {tokens: [x, y], unknown: 0, hash_buckets: 3, first_id: 2}",
        "its entries have the ids 2 to 3, its buckets 0 to 2: some twice", ""),
    "grey of no image": ("a", "three | grayscale", "it takes [height, width, 3], got shape [3]", ""),
    "no such asset": ("b", "c | vocabulary: {asset: vocab.txt, unknown: 0}",
        "(vocabulary): the model has no asset 'vocab.txt'; its assets: none", ""),
    "n-grams of texts": ("c", "texts | ngrams: {width: 2}", "(ngrams): it takes lists of texts of any length", ""),
    "n-grams of ids": ("b", f"{IDS} | ngrams: {{width: 2}}", "step 2 (ngrams): it takes text, got int64", ""),
    "words of numbers": ("b", "b | bert_split", "(bert_split): it takes text, got int64", ""),
    "words of words": ("c", "c | split | bert_split", "step 1 (bert_split): it takes one text a row", "Its shape must"),
    "pieces of a text": ("b", "c | word_piece: {file: pieces.txt}", "(word_piece): it takes lists of texts of any", ""),
    "pieces of ids": ("b", f"{IDS} | word_piece: {{file: pieces.txt}}", "(word_piece): it takes text, got int64", ""),
    "pieces without a file": ("b", "c | split | word_piece: {file: no.txt}", "no.txt cannot be read", ""),
    "pieces twice": ("b", "c | split | word_piece: {file: twice.txt, unknown: x}", "has 1 entries twice", ""),
    "no unknown piece": ("b", "c | split | word_piece: {file: twice.txt}", "its vocabulary has no '[UNK]'", ""),
    "sentence pieces of words": ("b", "c | split | sentence_piece: {file: twice.txt}", "it takes one text a row",
        "Its shape must"),
    "no SentencePiece model": ("b", "c | sentence_piece: {file: twice.txt}",
        "(sentence_piece): its file twice.txt is not a SentencePiece model", ""),
    "an empty SentencePiece model": ("b", "c | sentence_piece: {file: empty.txt}",
        "(sentence_piece): its file empty.txt is not a SentencePiece model", ""),
    "pieces that are lists": ("b", "c | split | word_piece: {file: pieces.txt}", "inputs.b: its rows have different",
        "pad"),
    "text around ids": ("b", f"{IDS} | pad: {{length: 3, value: 0, first: '[CLS]'}}",
        "step 2 (pad): its first '[CLS]' is not int64", ""),
    "fractions around ids": ("b", f"{IDS} | pad: {{length: 3, value: 0, last: 0.5}}",
        "step 2 (pad): its last 0.5 is not int64", ""),
    "no such dtype": ("b", "b | cast: {dtype: int65}", "(cast): there is no numeric dtype 'int65'", ""),
    "cast of text": ("b", "c | cast: {dtype: int64}", "(cast): it takes numbers, got string", ""),
    "fill text with numbers": ("c", "c | fill_missing: {value: 0}", "(fill_missing): its value 0.0 is not text", ""),
    "fill integers": ("b", "b | fill_missing: {value: 0}", "it takes floats and a number, got int64 and 0.0", ""),
    "argmax of one number": ("b", "b | argmax", "(argmax): it takes several numbers a row, got one", "[n]"),
    "softmax of one number": ("a", "one | softmax", "(softmax): it takes several numbers a row, got one", "[n]"),
    "reverse one number": ("b", "b | reverse_channels", "it takes several numbers a row, got one", "[n]"),
    "channels of no image": ("a", "a | channels_first", "it takes [height, width, channels], got shape [2]", ""),
    "several files": ("a", "texts | decode_image: {height: 1, width: 2}", "it takes one file a row, got shape [2]", ""),
    "labels of floats": ("a", "a | labels: {names: [x], unknown: '?'}", "(labels): it takes integers, got float32", ""),
    "no such input": ("d", "a", "input 'd' does not exist; the model's inputs: 'a', 'b', 'c'", ""),
    "no such raw input": ("a", "aa", "inputs.a: 'aa' does not exist", "Did you mean 'a'?"),
}  # fmt: skip


STATISTICS = b"""{"features": {
    "age": {"mean": 1, "std": 0, "min": [1, 2, 3], "max": 5},
    "size": {"min": 0, "max": 1, "std": 1}
}}"""


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_and_said_where(load, multi_io, tmp_path, what):
    for name, content in (
        ("latin1.txt", b"\xe9\n"),
        ("empty.txt", b""),
        ("twice.txt", b"x\ny\nx\n"),
        ("pieces.txt", b"[UNK]\nx\n"),
        ("statistics.json", STATISTICS),
    ):
        (tmp_path / name).write_bytes(content)
    alias, expression_text, says, hint = REFUSED[what]
    pipeline = declared(**{alias: expression_text})
    pipeline["raw"] |= {"a": RAW["a"]} if "does not exist" in says else {}
    with pytest.raises(PipelineError) as caught:
        load(multi_io, serving_default=pipeline)
    assert caught.value.message.startswith("Signature 'serving_default', pipeline")
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"y": "totl"}, "outputs.y: 'totl' does not exist; what it may be made of: 'doubled', 'pair_bytes'"),
        ({"y": "total | labels: {names: [x], unknown: '?'}"}, "outputs.y: step 0 (labels): it takes integers"),
        ({"y": "shouted | split"}, "outputs.y: its rows have different lengths"),
        ({"y": "{concat: [total, {from: doubled, steps: [argmax]}]}"}, "outputs.y.concat.1: step 0 (argmax)"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(load, multi_io, outputs, says):
    with pytest.raises(PipelineError) as caught:
        load(multi_io, serving_default=declared(outputs))
    assert says in caught.value.message


def test_a_wrapped_signature_has_the_models_own_beside_it(load, multi_io):
    own = load(multi_io, uneven=declared()).signatures["serving_default"]
    servable = load(
        multi_io, serving_default=declared({"total": "total"}, a="{stack: [one, one]}", b="c | hash: {buckets: 1}")
    )
    wrapped, unprepared = (servable.signatures[name] for name in ("serving_default", "serving_default_unprepared"))
    assert {alias: str(spec) for alias, spec in wrapped.inputs.items()} == {"c": "string [-1]", "one": "float [-1]"}
    assert [*wrapped.outputs] == ["total"]
    assert (unprepared.inputs, unprepared.outputs) == (own.inputs, own.outputs)
    assert [name for name in servable.signatures if "unprepared" in name] == ["serving_default_unprepared"]
    inputs = {"a": np.array([[3, 3]], np.float32), "b": np.array([0]), "c": text("x")}
    assert answers(servable, "serving_default_unprepared", **inputs)["total"].tolist() == [6]
    assert answers(servable, "uneven", **inputs)["first"].tolist() == [b"x"]
    assert answers(servable, "serving_default", c=text("x"), one=np.array([3], np.float32))["total"].tolist() == [6]


def test_parts_are_joined_in_the_order_declared_and_constants_are_of_every_row(load, multi_io):
    parts = "{concat: [{from: b, steps: [{cast: {dtype: float}}]}, {constant: 7.5}]}"
    b = np.array([1, 2])
    outputs = {"joined": "{concat: [doubled, {constant: [5, 6], steps: [{cast: {dtype: int64}}]}]}", "total": "total"}
    servable = load(multi_io, serving_default=declared(outputs, a=parts, c="{constant: né}"))
    got = answers(servable, "serving_default", b=b)
    assert got["total"].tolist() == [1 + 7.5 + 1, 2 + 7.5 + 2]
    assert got["joined"].tolist() == [[2, 5, 6], [4, 5, 6]]
    stacked = "{stack: [{constant: 100.0}, {from: b, steps: [scale]}]} | z_score: {mean: [100, 0], std: [1, 0.5]}"
    servable = load(multi_io, serving_default=declared({"c": "shouted"}, a=stacked, c="{constant: né}"))
    assert answers(servable, "serving_default", b=b)["c"].tolist() == ["NÉ".encode()] * 2


@pytest.mark.parametrize("sent", [["a", "one"], ["one", "a"]], ids=" first, then ".join)
def test_parts_keep_their_places_in_whatever_order_inputs_come(load, tmp_path, sent):
    parts = expression("{stack: [a, {concat: [one, one]}]} | reshape: {shape: [4]}")
    pipeline = {"raw": {alias: RAW[alias] for alias in sent}, "inputs": {"x": parts, "unused": parts}}
    servable = load(with_an_input_without_effect(tmp_path / "m"), serving_default=pipeline)
    values = {"a": np.array([[10, 20], [30, 40]], np.float32), "one": np.array([1, 2], np.float32)}
    got = answers(servable, "serving_default", **{alias: values[alias] for alias in sent})
    assert got["y"].tolist() == [[10, 1, 20, 1], [30, 2, 40, 2]]


def with_an_input_without_effect(path):
    """x and unused float [-1,4] to y, which is x."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = {name: v1.placeholder(tf.float32, [None, 4], name) for name in ("x", "unused")}
        v1.saved_model.simple_save(session, str(path), inputs, {"y": tf.identity(inputs["x"])})
    return path


def counting(path):
    """x float [-1] to its sum and that of all calls before; ``count`` gives that alone; ``pure`` is x again."""

    def signature(call):
        return tf.function(call).get_concrete_function(x=tf.TensorSpec([None], tf.float32, "x"))

    module = tf.Module()
    module.total = tf.Variable(0.0)
    calls = {
        "serving_default": lambda x: {"y": module.total.assign_add(tf.reduce_sum(x)) + 0 * x},
        "count": lambda x: {"y": module.total + 0 * x},
        "pure": lambda x: {"y": tf.identity(x)},
    }
    tf.saved_model.save(module, str(path), {name: signature(call) for name, call in calls.items()})
    return path


def test_a_wrapped_signature_is_as_stateless_as_the_models_own_and_has_its_state(load, tmp_path):
    doubled = {"raw": {"one": RAW["one"]}, "inputs": {"x": expression("one | scale: {factor: 2}")}}
    servable = load(counting(tmp_path / "m"), serving_default=doubled, pure=doubled)
    assert servable.stateless >= {"count", "pure", "pure_unprepared"}
    assert not servable.stateless & {"serving_default", "serving_default_unprepared"}
    ones = np.ones(2, np.float32)
    sums = [answers(servable, "serving_default", one=ones), answers(servable, "serving_default_unprepared", x=ones)]
    assert [each["y"].tolist() for each in [*sums, answers(servable, "count", x=ones)]] == [[4, 4], [6, 6], [6, 6]]


EXAMPLES = np.array([Example(features={"feature": {"x": {"float_list": {"value": [2]}}}}).SerializeToString()], object)
ONE = {"raw": {"one": RAW["one"]}, "inputs": {"x": expression("one | z_score: {mean: 1, std: 0.5}")}}
REVIEWS = text("A GOOD film!", "bad, bad FILM", "", "naïve")


def keras_reviews(base_path):
    """A Keras model with a table, an asset-like vocabulary and weights: text string [-1] to scores float [-1,3]."""
    import keras

    layers = keras.layers
    vectorize = layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=4)
    pooled = [layers.Embedding(5, 3, embeddings_initializer=keras.initializers.RandomNormal(seed=1))]
    model = keras.Sequential([keras.Input((), dtype="string", name="text"), vectorize, *pooled, layers.Flatten()])
    model.add(layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=2)))
    model.export(str(base_path / "1"), verbose=False)
    return base_path / "1"


def reviews(own):
    (taken,), (given,) = own.inputs, own.outputs
    return {
        "raw": {"c": RAW["c"]},
        "inputs": {taken: expression("c | replace: {pattern: 'ï', by: i} | uppercase")},
        "outputs": {"label": expression(given + " | argmax | labels: {names: [bad, good, so-so], unknown: none}")},
    }


def engine(path):
    servable = ENGINE.loader(path).load()
    return lambda name, inputs: servable.run(servable.signatures[name], inputs)


def version_1(path):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        defined = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def
    return lambda name, inputs: session.run(
        {alias: info.name for alias, info in defined[name].outputs.items()},
        {defined[name].inputs[alias].name: value for alias, value in inputs.items()},
    )


def version_2(path):
    loaded = tf.saved_model.load(str(path))  # kept: its variables go with it
    return lambda name, inputs: {
        alias: np.asarray(value)
        for alias, value in loaded.signatures[name](**{a: tf.constant(v) for a, v in inputs.items()}).items()
    }


MODELS = {
    "TensorFlow 1 with variables": (models.half_plus_two, lambda _: ONE, {"one": np.array([2, 3], np.float32)}),
    "TensorFlow 2 with variables": (models.half_plus_two_tf2, lambda _: ONE, {"one": np.array([2], np.float32)}),
    "Keras with a table": (keras_reviews, reviews, {"c": REVIEWS}),
    "a table of an asset": (
        models.vocabulary_lookup,
        lambda _: {"raw": {"c": RAW["c"]}, "inputs": {"words": expression("c | lowercase")}},
        {"c": text("ONE", "Three", "?")},
    ),
    "an asset": (
        models.asset_reader,
        lambda _: {"raw": {"c": RAW["c"]}, "inputs": {"prefix": expression("c | uppercase")}},
        {"c": text("one")},
    ),
}


@pytest.mark.parametrize("way", [engine, version_1, version_2])
@pytest.mark.parametrize("model", MODELS)
def test_a_baked_model_answers_as_the_served_one_however_it_is_loaded(load, tmp_path, model, way):
    export, pipeline_of, raw = MODELS[model]
    path = export(tmp_path / "m")
    own = ENGINE.loader(path).load()
    served = load(path, serving_default=pipeline_of(own.signatures["serving_default"]))
    bake(path, read_pipeline(tmp_path / "pipeline.yaml"), tmp_path, tmp_path / "out" / "1")
    wanted = answers(served, "serving_default", **raw)
    shutil.rmtree(path)
    answer = way(tmp_path / "out" / "1")
    got = answer("serving_default", raw)
    assert {alias: np.asarray(value).tolist() for alias, value in got.items()} == {
        alias: value.tolist() for alias, value in wanted.items()
    }
    if "variables" in model:
        assert wanted["y"].ravel().tolist() == [((x - 1) / 0.5) / 2 + 2 for x in raw["one"]]
        x = np.array([[2]] if export is models.half_plus_two else [2], np.float32)
        assert np.ravel(answer("serving_default_unprepared", {"x": x})["y"]).tolist() == [3]
        assert np.ravel(answer("regress_x_to_y2", {"inputs": EXAMPLES})["outputs"]).tolist() == [4]
        assert np.ravel(answer("classify_x2_to_y3", {"inputs": x})["scores"]).tolist() == [4]


def test_baking_that_cannot_be_done_says_so_and_writes_nothing(multi_io, tmp_path):
    file = tmp_path / "pipeline.yaml"
    out = tmp_path / "out"
    for inputs, says in (({"b": "c"}, "inputs.b: it is string"), ({}, "cannot be loaded by TensorFlow")):
        file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared(**inputs)}}))
        with pytest.raises(LoadFailed, match=says):
            bake(multi_io if inputs else broken(tmp_path / "m"), read_pipeline(file), tmp_path, out)
        assert not out.exists()
    out.mkdir()
    with pytest.raises(SetupError, match="out exists"):
        bake(multi_io, read_pipeline(file), tmp_path, out)


def broken(base_path):
    path = models.multi_io(base_path)
    shutil.rmtree(path / "variables")
    return path


def test_a_baked_model_is_not_wrapped_twice(load, multi_io, tmp_path):
    load(multi_io, serving_default=declared())
    bake(multi_io, read_pipeline(tmp_path / "pipeline.yaml"), tmp_path, tmp_path / "out")
    with pytest.raises(PipelineError, match="the model has a signature 'serving_default_unprepared' already"):
        load(tmp_path / "out", serving_default=declared())
