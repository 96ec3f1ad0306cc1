"""Fresh deployments where the right values reach the wrong place; none was ever tuned on."""

from pathlib import Path
from typing import Any

import numpy as np

from corpus import datasets, model_onnx
from corpus.case import Case, Deployment
from corpus.fresh_nets import (
    JOBS,
    WINE,
    Columns,
    cellar,
    census,
    deployed,
    fares,
    incomes,
    onnx_deployed,
    pairs,
    ranker,
    rhythm,
    scans,
    sounds,
)
from corpus.given import (
    ALL,
    MODEL_GOLDEN,
    MODEL_REQUESTS_GOLDEN,
    MODEL_REQUESTS_TRAINING,
    TARGET_MODEL_REQUESTS,
    TARGET_MODEL_REQUESTS_TRAINING,
    TARGET_REQUESTS_GOLDEN,
    TARGET_REQUESTS_TRAINING,
)
from corpus.served import Tensors
from corpus.server import Hooks
from corpus.small_nets import fitted


def latitude_first(folder: Path) -> Deployment:
    """A map's library says (latitude, longitude), and the client reads the pair the other way round."""
    model, right = fares(folder / "fares")

    def exchanged(sent: Columns) -> Columns:
        names = ("pickup_longitude", "pickup_latitude")
        return sent | {names[0]: sent[names[1]], names[1]: sent[names[0]]}

    return deployed(folder, model, right, exchanged)


def columns_by_alphabet(folder: Path) -> Deployment:
    """A frame's columns come in the order of the alphabet instead of that of the training."""
    model, right = cellar(folder / "cellar")
    order = np.argsort(WINE)
    return deployed(folder, model, right, lambda sent: {"chemistry": sent["chemistry"][:, order]})


def answer_for_question(folder: Path) -> Deployment:
    """A gateway feeds its tensors in the order of a list, which is not the signature's."""
    model, right = pairs(folder / "pairs")

    def exchanged(inputs: Tensors) -> Tensors:
        return {"question": inputs["answer"], "answer": inputs["question"]}

    return deployed(folder, model, right, hooks=Hooks(before=exchanged))


def exported_for_each_other(folder: Path) -> Deployment:
    """The export binds two arguments to each other's names."""

    def exchanged(inputs: Any) -> Any:
        return inputs | {"age": inputs["hours_per_week"], "hours_per_week": inputs["age"]}

    model, right = incomes(folder / "incomes", broken=exchanged)
    return deployed(folder, model, right, right_model=incomes(folder / "twin")[0])


def hour_lost(folder: Path) -> Deployment:
    """The gateway's schema has no hour, so that its default, 0, is handed on."""
    model, right = fares(folder / "fares")
    return deployed(folder, model, right, hooks=Hooks(before=lambda x: x | {"hour": np.zeros_like(x["hour"])}))


def item_field_lost(folder: Path) -> Deployment:
    """The search's new client leaves the last field of each item at zero."""
    model, right = ranker(folder / "ranker")
    return deployed(folder, model, right, lambda sent: sent | {"items": sent["items"] * np.float32([1, 1, 1, 0])})


def job_not_read(folder: Path) -> Deployment:
    """The export's parser looks for the job by a name that it has in no tf.Example, and takes its default."""
    import tensorflow as tf

    def parser(job: str) -> Any:
        return lambda examples: _parsed(examples, job)

    columns, rich = census()
    people = np.array([_person(row) for row in zip(*columns.values(), strict=True)], object)
    right, specs = {"examples": people}, {"examples": (tf.string,)}
    model = fitted(folder / "incomes", right, rich, parser("job"), specs, serve=parser("job_title"))
    twin = fitted(folder / "twin", right, rich, parser("job"), specs)
    return deployed(folder, model, right, right_model=twin, training_as=".jsonl")


def _person(values: Any) -> bytes:
    import tensorflow as tf

    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, str)
        else tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in zip(census(1)[0], values, strict=True)
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _parsed(examples: Any, job: str) -> Any:
    """Age, hours and years, standardised, and which of the jobs it is."""
    import tensorflow as tf

    numbers = {"age": (42, 12), "hours_per_week": (38, 9), "education_years": (12, 4)}
    wanted = {name: tf.io.FixedLenFeature([], tf.float32, mean) for name, (mean, _) in numbers.items()}
    found = tf.io.parse_example(examples, wanted | {job: tf.io.FixedLenFeature([], tf.string, "")})
    ready = tf.stack([(found[name] - mean) / spread for name, (mean, spread) in numbers.items()], 1)
    return tf.concat([ready, tf.cast(found[job][:, None] == tf.constant(JOBS), tf.float32)], 1)


def pickup_twice(folder: Path) -> Deployment:
    """The gateway copies the place where a ride begins into the one where it ends."""
    model, right = fares(folder / "fares")

    def copied(inputs: Tensors) -> Tensors:
        return inputs | {"dropoff_longitude": inputs["pickup_longitude"]}

    return deployed(folder, model, right, hooks=Hooks(before=copied))


def question_twice(folder: Path) -> Deployment:
    """The client's two fields are filled from one variable."""
    model, right = pairs(folder / "pairs")
    return deployed(folder, model, right, lambda sent: sent | {"answer": sent["question"]})


def measure_twice(folder: Path) -> Deployment:
    """A vector's fourth measure is also written over its fifth."""
    model, right = cellar(folder / "cellar", inside=False)
    return deployed(folder, model, right, lambda sent: {"chemistry": sent["chemistry"][:, [0, 1, 2, 3, 3, 5, 6]]})


def raw_scores(folder: Path) -> Deployment:
    """TensorFlow 1: the server's default was set to the signature of the scores before the softmax."""
    model, right = cellar(folder / "cellar")
    return deployed(
        folder, model, right, hooks=Hooks(route=lambda asked, signature: (asked, signature or "raw_scores"))
    )


def odds_asked_for(folder: Path) -> Deployment:
    """Clients name the signature of the odds, where the golden answers are of the shares."""
    model, right = cellar(folder / "cellar")
    return deployed(folder, model, right, signature="per_class_odds")


def bands_first(folder: Path) -> Deployment:
    """A spectrum of as many frames as bands, computed by a library that has the bands first."""
    model, right = sounds(folder / "sounds")
    return deployed(folder, model, right, lambda sent: {"spectrum": sent["spectrum"].transpose(0, 2, 1)})


def depth_last(folder: Path) -> Deployment:
    """A scan in the order of the file (row, column, slice), where the model was trained on slices first."""
    model, right = scans(folder / "scans")
    return deployed(folder, model, right, lambda sent: {"scan": sent["scan"].transpose(0, 2, 3, 1)})


def blue_first_onnx(folder: Path) -> Deployment:
    """An ONNX model of RGB pictures, channels first, gets what OpenCV reads: BGR."""
    pictures, _ = datasets.images(372, seed=71)
    right = pictures.transpose(0, 3, 1, 2).astype(np.float32)
    nodes, weights = list(model_onnx.SHAPES), model_onnx.shape_weights()
    return onnx_deployed(folder, nodes, weights, "image", right, lambda sent: sent[:, ::-1])


def exported_bands_first(folder: Path) -> Deployment:
    """The export turns the spectrum once more."""
    import tensorflow as tf

    def turned(spectrum: Any) -> Any:
        return tf.reshape(tf.transpose(spectrum, [0, 2, 1]), [-1, 256]) / 2

    model, right = sounds(folder / "sounds", serve=turned)
    return deployed(folder, model, right, right_model=sounds(folder / "twin")[0])


def middle_row_for_all(folder: Path) -> Deployment:
    """A gateway scatters the answer of the batch's middle row to all of its callers."""
    model, right = ranker(folder / "ranker")

    def scattered(outputs: Tensors, inputs: Tensors) -> Tensors:
        return {name: np.repeat(x[len(x) // 2 : len(x) // 2 + 1], len(x), 0) for name, x in outputs.items()}

    return deployed(folder, model, right, rows=4, hooks=Hooks(after=scattered))


def exported_for_the_last(folder: Path) -> Deployment:
    """The export was written for a batch of one: its last row is what every row's answer is made of."""
    import tensorflow as tf

    def last(leads: Any) -> Any:
        spectrum = tf.abs(tf.signal.rfft(tf.transpose(leads[-1:], [0, 2, 1])))
        return tf.tile(tf.reshape(spectrum[:, :, :22], [1, 44]) / 20, [tf.shape(leads)[0], 1])

    model, right = rhythm(folder / "rhythm", inside=False, serve=last)
    twin, _ = rhythm(folder / "twin", inside=False)
    return deployed(folder, model, right, right_model=twin, rows=6)


def newest_for_pinned(folder: Path) -> Deployment:
    """Clients pin version 1; the gateway strips the version from their path."""
    for version in (1, 2):
        cellar(folder / "cellar", version=version, seed=version)
    _, right = cellar(folder / "reference", seed=1)
    hooks = Hooks(route=lambda asked, signature: (None, signature))
    right_model = folder / "cellar" / "1"
    return deployed(folder, folder / "cellar", right, right_model=right_model, hooks=hooks, path="/versions/1")


def middle_version(folder: Path) -> Deployment:
    """Of three versions the newest is AVAILABLE, and a canary's rule that nobody removed sends all to the second."""
    for version in (1, 2, 3):
        made, right = fares(folder / f"made-{version}", dearer=0.1 * version)
        (folder / "fares").mkdir(exist_ok=True)
        made.rename(folder / "fares" / str(version))
    hooks = Hooks(route=lambda asked, signature: (2, signature))
    return deployed(folder, folder / "fares", right, hooks=hooks)


LIVE = (TARGET_MODEL_REQUESTS, TARGET_MODEL_REQUESTS_TRAINING, ALL)
SENT = (MODEL_REQUESTS_TRAINING, TARGET_REQUESTS_TRAINING, ALL)
EXPORTED = (MODEL_GOLDEN, MODEL_REQUESTS_GOLDEN)


# Wrong when they were blind.
TUNED = frozenset({"latitude-first", "columns-by-alphabet", "item-field-lost", "job-not-read", "question-twice"})


def _case(name: str, family: str, cause: str, build: Any, given: Any = SENT, **location: str) -> Case:
    places = {field: (text,) for field, text in location.items()}
    return Case(f"fresh-{name}", family, f"mapping/{cause}", build, given, places, held_out=name not in TUNED)


CASES = [
    _case("latitude-first", "regression", "swapped-features", latitude_first, feature="pickup_latitude"),
    _case("columns-by-alphabet", "tf1", "swapped-features", columns_by_alphabet, input="chemistry"),
    _case("answer-for-question", "module", "swapped-features", answer_for_question, LIVE, feature="question"),
    _case("exported-for-each-other", "tabular", "swapped-features", exported_for_each_other, EXPORTED, feature="age"),
    _case("hour-lost", "regression", "dropped-feature", hour_lost, LIVE, feature="hour"),
    _case("item-field-lost", "ranking", "dropped-feature", item_field_lost, input="items"),
    _case("job-not-read", "tabular", "dropped-feature", job_not_read, EXPORTED, input="examples"),
    _case("pickup-twice", "regression", "duplicated-feature", pickup_twice, LIVE, feature="pickup_longitude"),
    _case("question-twice", "module", "duplicated-feature", question_twice, feature="question"),
    _case("measure-twice", "tf1", "duplicated-feature", measure_twice, input="chemistry"),
    _case("raw-scores", "tf1", "wrong-signature", raw_scores, LIVE),
    _case("odds-asked-for", "tf1", "wrong-signature", odds_asked_for, (TARGET_REQUESTS_GOLDEN, ALL)),
    _case("bands-first", "module", "wrong-layout", bands_first, input="spectrum"),
    _case("depth-last", "convolutional", "wrong-layout", depth_last, input="scan"),
    _case("blue-first-onnx", "onnx", "wrong-layout", blue_first_onnx, input="image"),
    _case("exported-bands-first", "module", "wrong-layout", exported_bands_first, EXPORTED, input="spectrum"),
    _case("middle-row-for-all", "ranking", "batch-broadcast", middle_row_for_all, LIVE),
    _case(
        "exported-for-the-last", "module", "batch-broadcast", exported_for_the_last, ((*MODEL_REQUESTS_GOLDEN,), ALL)
    ),
    _case("newest-for-pinned", "tf1", "wrong-version", newest_for_pinned, LIVE, version="2"),
    _case("middle-version", "regression", "wrong-version", middle_version, LIVE, version="2"),
]
