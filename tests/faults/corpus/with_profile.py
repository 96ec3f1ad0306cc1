"""Models with a training profile beside them, and nothing else that tells what training was."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from corpus import datasets, models
from corpus.case import Case, Deployment
from corpus.deploy import deploy
from corpus.fitting import standardize
from corpus.given import MODEL, MODEL_REQUESTS, TARGET_MODEL_REQUESTS
from corpus.saving import save_module

Arrays = Mapping[str, np.ndarray]
Prepare = Callable[[np.ndarray, np.ndarray], np.ndarray]
GIVEN = (MODEL_REQUESTS, TARGET_MODEL_REQUESTS)
PLACE = Path("assets.extra/unstuck")
REGIONS = {"north": "R-01", "south": "R-02", "east": "R-03", "west": "R-04"}


def write_profile(version: Path, columns: Arrays) -> None:
    """The profile of ``columns``, by the model's inputs; of text with the vocabulary of its values."""
    from unstuck.data.profiling import NumberStatistics, TextStatistics
    from unstuck.pipeline.profile import KnownTokens, TrainingProfile

    folder = version / PLACE
    folder.mkdir(parents=True)
    features = {}
    for name, values in columns.items():
        if values.dtype.kind in "OU":
            texts = TextStatistics(values.shape[1:], "values")
            texts.add(np.array([str(each).encode() for each in values.ravel()], object).reshape(values.shape))
            tokens = sorted({str(each) for each in values.ravel()})
            (folder / f"{name}.txt").write_text("\n".join(tokens) + "\n")
            known = KnownTokens(file=f"{name}.txt", of="values", size=len(tokens), coverage=1.0)
            features[name] = texts.profile("string", known)
        else:
            numbers = NumberStatistics(values.shape[1:])
            numbers.add(values)
            features[name] = numbers.profile("int64" if values.dtype.kind in "iu" else "float")
    count = len(next(iter(columns.values())))
    profile = TrainingProfile(schema=1, rows=count, features=features)
    (folder / "profile.json").write_text(profile.to_json())


def _credit(sent: Prepare) -> Callable[[Path], Deployment]:
    """A model of standardised columns, and what the client makes of the raw ones."""

    def build(folder: Path) -> Deployment:
        raw, asked = datasets.credit_matrix(600, seed=1)[0], datasets.credit_matrix(40, seed=2)[0]
        model = models.dense_tabular(folder / "credit")
        write_profile(model, {"features": standardize(raw, raw)})
        return deploy(
            folder,
            model,
            {"features": sent(asked, raw).astype(np.float32)},
            meant=_meant(standardize, sent, asked, raw),
        )

    return build


def _houses(sent: Prepare) -> Callable[[Path], Deployment]:
    """A model that normalises in its graph, and what the client makes of the raw columns."""

    def build(folder: Path) -> Deployment:
        raw, asked = datasets.house_matrix(600, seed=1)[0], datasets.house_matrix(40, seed=2)[0]
        model = models.regression(folder / "prices")
        write_profile(model, {"features": raw})
        return deploy(
            folder, model, {"features": sent(asked, raw).astype(np.float32)}, meant=_meant(_unchanged, sent, asked, raw)
        )

    return build


def _prepared_inside(sent: Prepare) -> Callable[[Path], Deployment]:
    """``unstuck fit-pipeline`` put the normalisation into the version, and what the client makes of the raw columns."""

    def build(folder: Path) -> Deployment:
        from unstuck.cli import fit_pipeline

        raw, asked = datasets.credit_matrix(600, seed=1)[0], datasets.credit_matrix(40, seed=2)[0]
        model = models.dense_tabular(folder / "credit")
        names = [f"column_{at}" for at in range(raw.shape[1])]
        table = folder / "raw.csv"
        np.savetxt(table, raw, delimiter=",", header=",".join(names), comments="", fmt="%.6g")
        options = [f"--training-data={table}", "--normalise=z_score", f"--features={','.join(names)}"]
        assert fit_pipeline.run([str(model), *options]) == 0
        columns = dict(zip(names, sent(asked, raw).astype(np.float32).T, strict=True))
        return deploy(folder, model, columns)

    return build


def _risk(codes: Mapping[str, str]) -> Callable[[Path], Deployment]:
    """Named columns, and the region by other words."""

    def build(folder: Path) -> Deployment:
        columns, asked = datasets.credit(600, seed=1)[0], datasets.credit(40, seed=2)[0]
        regions = np.array([[codes.get(value, value)] for value in asked["region"][:, 0]])
        model = models.tabular_named(folder / "risk")
        write_profile(model, columns)
        return deploy(folder, model, asked | {"region": regions}, meant=asked if codes else None)

    return build


def _degrees(shut: float) -> Callable[[Path], Deployment]:
    """A network of temperatures in kelvin, whose units are alive from 0 on, or from ``shut`` below what there is."""

    def build(folder: Path) -> Deployment:
        import tensorflow as tf

        random = np.random.default_rng(6)
        module = tf.Module()
        module.kernel = tf.Variable(np.abs(random.normal(0, 1, (4, 16))).astype(np.float32))
        module.bias = tf.Variable(random.normal(0, 20, 16).astype(np.float32) + shut)
        module.head = tf.Variable(random.normal(0, 0.02, (16, 1)).astype(np.float32))

        def call(kelvin: tf.Tensor) -> dict[str, tf.Tensor]:
            hidden = tf.nn.relu(tf.constant(290.0 * 3.2) - kelvin @ module.kernel + module.bias, name="hidden")
            return {"demand": 40.0 + hidden @ module.head}

        spec = tf.TensorSpec([None, 4], tf.float32, "kelvin")
        model = save_module(module, folder / "heating", {"serving_default": (call, [spec])})
        kelvin = random.normal(288, 6, (600, 4)).astype(np.float32)
        write_profile(model, {"kelvin": kelvin})
        return deploy(folder, model, {"kelvin": kelvin[:30]})

    return build


def _meant(right: Prepare, sent: Prepare, asked: np.ndarray, raw: np.ndarray) -> Arrays | None:
    """What clients should have sent, where they left the preparation out or did it twice."""
    if sent is right or {sent, right} != {standardize, _unchanged}:
        return None
    return {"features": right(asked, raw).astype(np.float32)}


def _unchanged(asked: np.ndarray, raw: np.ndarray) -> np.ndarray:
    return asked


OF_REQUESTS = [
    Case(
        "profile-tells-raw-columns",
        "dense",
        "preprocessing/missing-normalization",
        _credit(_unchanged),
        GIVEN,
        {"input": ("features",)},
    ),
    Case(
        "profile-tells-standardised-columns",
        "regression",
        "preprocessing/double-normalization",
        _houses(standardize),
        GIVEN,
        {"input": ("features",)},
    ),
    Case(
        "profile-tells-other-codes",
        "tabular",
        "preprocessing/wrong-vocabulary",
        _risk(REGIONS),
        GIVEN,
        {"input": ("region",)},
    ),
]
OF_MODEL = [
    Case(
        "relu-dead-where-training-was",
        "module",
        "model/dead-activation",
        _degrees(-3000.0),
        (MODEL, MODEL_REQUESTS),
    ),
]
HEALTHY = [
    Case("profile-of-standardised-columns", "dense", None, _credit(standardize), (MODEL, *GIVEN)),
    Case("profile-of-raw-columns", "regression", None, _houses(_unchanged), (MODEL, *GIVEN)),
    Case(
        "profile-and-a-bit-of-drift",
        "regression",
        None,
        _houses(lambda asked, raw: asked + 0.4 * raw.std(0)),
        GIVEN,
    ),
    Case("profile-of-named-columns", "tabular", None, _risk({}), (MODEL, *GIVEN)),
    Case("profile-of-temperatures", "module", None, _degrees(0.0), (MODEL, MODEL_REQUESTS)),
]
# Their requests are for the pipeline: no server but ours answers them.
PIPELINES = [
    Case(
        "profile-tells-columns-standardised-before-the-pipeline",
        "dense",
        "preprocessing/double-normalization",
        _prepared_inside(standardize),
        (MODEL_REQUESTS,),
    ),
    Case("profile-and-pipeline", "dense", None, _prepared_inside(_unchanged), (MODEL, MODEL_REQUESTS)),
]
CASES = [*OF_REQUESTS, *OF_MODEL, *HEALTHY, *PIPELINES]
