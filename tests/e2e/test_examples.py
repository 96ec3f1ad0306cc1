"""The exported examples, run by TensorFlow alone: the right models are right, and their twins show their mistake."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import export, image, tabular, text
from examples.requests import EXAMPLES, Example

ROOT = Path(__file__).parents[2]
TEXT, TABULAR, IMAGE = EXAMPLES
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """All SavedModels as TensorFlow loads them, by name."""
    subprocess.run([sys.executable, "-m", "examples.export"], cwd=ROOT, check=True, timeout=120)
    import tensorflow as tf

    return {name: tf.saved_model.load(str(export.MODELS / name / "1")) for name in export.NAMES}


def predict(model: Any, **inputs: Any) -> np.ndarray:
    """The single output of the model's serving_default."""
    import tensorflow as tf

    signature = model.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    tensors = {name: tf.constant(values, specs[name].dtype) for name, values in inputs.items()}
    (output,) = signature(**tensors).values()
    return output.numpy()


def classes(example: Example, predictions: np.ndarray) -> list[str]:
    return [example.answer(prediction).split()[0] for prediction in predictions.tolist()]


def accuracy(answers: np.ndarray, truth: np.ndarray) -> float:
    return float((answers == truth).mean())


def answer_requests(model: Any, example: Example) -> np.ndarray:
    return predict(model, **_columns([request.instance for request in example.requests]))


def answer_requests_of_twin(model: Any, example: Example) -> np.ndarray:
    return predict(model, **_columns([example.to_twin(request.instance) for request in example.requests]))


def _columns(instances: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [instance[name] for instance in instances] for name in instances[0]}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("text_classifier", {"text": ("string", [None])}, {"probability": ("float32", [None])}),
        ("text_classifier_broken", {"text": ("string", [None, None])}, {"probability": ("float32", [None])}),
        (
            "feature_concat_broken",
            {"feature_a": ("float32", [None, 1]), "feature_b": ("float32", [None, 1])},
            {"output": ("float32", [None])},
        ),
        ("image_classifier_broken", {"image": ("float32", [None, 28, 28, 1])}, {"scores": ("float32", [None, 4])}),
        (
            "feature_concat",
            {"feature_a": ("float32", [None, 1]), "feature_b": ("float32", [None, 1])},
            {"output": ("float32", [None])},
        ),
        ("image_classifier", {"image": ("uint8", [None, 28, 28, 1])}, {"scores": ("float32", [None, 4])}),
    ],
)
def test_signatures(models: dict[str, Any], name: str, inputs: Any, outputs: Any) -> None:
    def plain(specs: dict[str, Any]) -> dict[str, tuple[str, list[int | None]]]:
        return {alias: (spec.dtype.name, spec.shape.as_list()) for alias, spec in specs.items()}

    assert list(models[name].signatures) == ["serving_default"]
    signature = models[name].signatures["serving_default"]
    assert plain(signature.structured_input_signature[1]) == inputs
    assert plain(signature.structured_outputs) == outputs


@each_example
def test_right_model_answers_each_request_as_expected_and_differently(models: dict[str, Any], example: Example) -> None:
    predictions = answer_requests(models[example.name], example)
    assert classes(example, predictions) == [request.expected for request in example.requests]
    assert len(np.unique(predictions, axis=0)) == len(example.requests)


@each_example
def test_twin_gives_every_request_the_same_class(models: dict[str, Any], example: Example) -> None:
    assert len({request.expected for request in example.requests}) > 1
    assert len(set(classes(example, answer_requests_of_twin(models[example.twin], example)))) == 1


def test_text_on_held_out_reviews(models: dict[str, Any]) -> None:
    training = set(text.reviews(4000, seed=1)[0])
    held_out = {review: p > 0.5 for review, p in zip(*text.reviews(500, seed=2), strict=True) if review not in training}
    reviews = list(held_out)
    assert len(reviews) > 300
    assert accuracy(predict(models[TEXT.name], text=reviews) > 0.5, np.array(list(held_out.values()))) >= 0.9
    twins = predict(models[TEXT.twin], text=[[review] for review in reviews])
    assert np.ptp(twins) < 1e-6, "every review is the one token [UNK]"


def test_texts_twin_is_right_about_words_of_its_vocabulary(models: dict[str, Any]) -> None:
    """Its fault is the missing tokenisation and nothing else."""
    words = ["wonderful", "good", "bad", "awful"]
    right = predict(models[TEXT.name], text=words)
    assert (right > 0.5).tolist() == [True, True, False, False]
    np.testing.assert_allclose(predict(models[TEXT.twin], text=[[word] for word in words]), right, rtol=1e-5)


def test_tabular_on_held_out_bearings(models: dict[str, Any]) -> None:
    features, probabilities = tabular.bearings(500, seed=2)
    inputs = {"feature_a": features[:, :1], "feature_b": features[:, 1:]}
    truth = probabilities > 0.5
    assert accuracy(predict(models[TABULAR.name], **inputs) > 0.5, truth) >= 0.9
    twins = predict(models[TABULAR.twin], **inputs)
    assert np.ptp(twins) < 0.01, "its neurons are saturated"
    assert accuracy(twins > 0.5, truth) < 0.6


def test_tabulars_twin_is_right_about_swapped_features(models: dict[str, Any]) -> None:
    """Its fault is the order of its features and nothing else."""
    features, _ = tabular.bearings(100, seed=2)
    a, b = features[:, :1], features[:, 1:]
    right = predict(models[TABULAR.name], feature_a=a, feature_b=b)
    np.testing.assert_allclose(predict(models[TABULAR.twin], feature_a=b, feature_b=a), right, rtol=1e-5)


def test_image_on_held_out_pictures(models: dict[str, Any]) -> None:
    images, labels = image.pictures(500, seed=2)
    assert accuracy(predict(models[IMAGE.name], image=images).argmax(1), labels) >= 0.9
    twins = predict(models[IMAGE.twin], image=images)
    assert accuracy(twins.argmax(1), labels) < 0.4
    assert np.bincount(twins.argmax(1)).max() > 0.9 * len(labels), "(nearly) every picture gets the same class"
    assert np.median(twins.max(1)) > 0.9, "and that with certainty: it is saturated"


@pytest.mark.usefixtures("models")
def test_export_does_nothing_and_imports_no_tensorflow_when_all_is_exported() -> None:
    def exported_at() -> list[int]:
        return [(export.MODELS / name / "1" / "saved_model.pb").stat().st_mtime_ns for name in export.NAMES]

    before = exported_at()
    script = "import sys; from examples import export; export.main(); sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, cwd=ROOT, timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert exported_at() == before
