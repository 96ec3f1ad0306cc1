"""The mistakes of the seed document, and the pipelines that make up for them: raw requests in, the right tensors in."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from unstuck.cli.main import main

LENGTH = 8
TEXTS = [
    "The film was great!",
    "the film WAS not great.",
    "awful food, awful price",
    "nothing known",
    "",
    "Great; great: plot",
]


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    keras.utils.set_random_seed(7)
    return keras


@pytest.fixture(scope="module")
def classifier(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A classifier of token ids: tokenisation was part of training, and is not part of the export."""
    tokenise = keras.layers.TextVectorization(output_sequence_length=LENGTH)
    tokenise.adapt(["the film was great", "not great", "awful food", "price and plot"])
    ids = keras.Input((LENGTH,), dtype="int64", name="token_ids")
    network = keras.layers.Embedding(tokenise.vocabulary_size(), 4)(ids)
    network = keras.layers.LSTM(4)(network)
    model = keras.Model(ids, {"scores": keras.layers.Dense(2, activation="softmax")(network)})
    folder = tmp_path_factory.mktemp("classifier")
    model.export(str(folder / "1"), verbose=False)
    (folder / "vocab.txt").write_text("\n".join(tokenise.get_vocabulary()[2:]) + "\n")
    pipeline = {
        "raw": {"text": {"dtype": "string"}},
        "inputs": {
            "token_ids": {
                "from": "text",
                "steps": [
                    "lowercase",
                    "remove_punctuation",
                    "split",
                    {"vocabulary": {"file": "vocab.txt", "unknown": 1, "first_id": 2}},
                    {"pad": {"length": LENGTH, "value": 0}},
                ],
            }
        },
    }
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": {"serving_default": pipeline}}))
    want = np.asarray(model(tokenise(np.array(TEXTS)))["scores"])
    return folder, want


@pytest.fixture(scope="module")
def tabular(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network of one input, ``concatenated_features``, whose order only training knew."""
    features = keras.Input((2,), name="concatenated_features")
    model = keras.Model(features, {"score": keras.layers.Dense(1)(keras.layers.Dense(3, activation="tanh")(features))})
    folder = tmp_path_factory.mktemp("tabular")
    model.export(str(folder / "1"), verbose=False)
    extra = folder / "1" / "assets.extra" / "unstuck"
    extra.mkdir(parents=True)
    raw = {"feature_a": {"dtype": "float"}, "feature_b": {"dtype": "float"}}
    inputs = {"concatenated_features": {"concat": ["feature_a", "feature_b"]}}
    pipeline = {"signatures": {"serving_default": {"raw": raw, "inputs": inputs}}}
    (extra / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))
    return folder, lambda rows: np.asarray(model(np.array(rows, np.float32))["score"])


def post(url: str, model: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/{model}:predict", json=body, timeout=30)


def test_raw_text_gives_exactly_what_training_predicted(serve: Any, classifier: Any) -> None:
    folder, want = classifier
    server = serve({"m": folder}, pipeline_files={"m": folder / "pipeline.yaml"})
    assert not server.failures
    answer = post(server.url, "m", instances=TEXTS)
    np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-6)
    assert len({tuple(row) for row in answer.json()["predictions"]}) > len(TEXTS) // 2


def test_fields_reach_the_model_in_the_declared_order_in_whatever_order_they_are_sent(serve: Any, tabular: Any) -> None:
    folder, reference = tabular
    server = serve({"m": folder})  # the pipeline is in the version's own folder
    want = reference([[1.0, 5.0], [2.0, -3.0]])
    for instances in (
        [{"feature_a": 1.0, "feature_b": 5.0}, {"feature_a": 2.0, "feature_b": -3.0}],
        [{"feature_b": 5.0, "feature_a": 1.0}, {"feature_b": -3.0, "feature_a": 2.0}],
    ):
        answer = post(server.url, "m", instances=instances)
        np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-6)
    columns = post(server.url, "m", inputs={"feature_b": [5.0, -3.0], "feature_a": [1.0, 2.0]})
    np.testing.assert_allclose(columns.json()["outputs"], want, rtol=1e-6)
    unprepared = post(server.url, "m", signature_name="serving_default_unprepared", instances=[[1.0, 5.0], [2.0, -3.0]])
    np.testing.assert_allclose(unprepared.json()["predictions"], want, rtol=1e-6)


def test_without_a_pipeline_the_error_shows_one_that_works(
    serve: Any, classifier: Any, tabular: Any, tmp_path: Path
) -> None:
    """What the error shows is written to a file as it stands, and serves the same request."""
    text_folder, _ = classifier
    fields_folder, reference = tabular
    (fields_folder / "1" / "assets.extra" / "unstuck" / "pipeline.yaml").rename(tmp_path / "kept.yaml")
    server = serve({"text": text_folder, "fields": fields_folder})
    sent = {"feature_a": 1.0, "feature_b": 5.0}

    refused = post(server.url, "fields", instances=[sent])
    assert refused.status_code == 400
    (tmp_path / "fields.yaml").write_text(_shown(refused))
    told = post(server.url, "text", instances=[TEXTS[0]])
    assert told.status_code == 400
    (tmp_path / "text.yaml").write_text(_shown(told))
    (tmp_path / "vocab.txt").write_text((text_folder / "vocab.txt").read_text())

    files = {name: tmp_path / f"{name}.yaml" for name in ("text", "fields")}
    helped = serve({"text": text_folder, "fields": fields_folder}, pipeline_files=files)
    assert not helped.failures
    answer = post(helped.url, "fields", instances=[sent])
    np.testing.assert_allclose(answer.json()["predictions"], reference([[1.0, 5.0]]), rtol=1e-6)
    assert post(helped.url, "text", instances=[TEXTS[0]]).status_code == 200


def _shown(refused: httpx.Response) -> str:
    found = re.search(r"signatures: \{.*\}", refused.json()["error"])
    assert found, refused.text
    return found[0]


def test_a_baked_model_answers_as_the_served_pipeline(
    serve: Any, classifier: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    folder, want = classifier
    baked = tmp_path / "baked"
    assert main(["bake", str(folder), str(baked), f"--pipeline={folder / 'pipeline.yaml'}"]) == 0
    assert "serving_default takes raw inputs" in capsys.readouterr().out
    plain = tf.saved_model.load(str(baked)).signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(plain["scores"], want, rtol=1e-6)
    answer = post(serve({"m": baked}).url, "m", instances=TEXTS)
    np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-6)


def test_a_pipeline_that_does_not_fit_keeps_the_model_from_being_served(
    serve: Any, classifier: Any, tmp_path: Path
) -> None:
    folder, _ = classifier
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((folder / "pipeline.yaml").read_text().replace("token_ids", "token_idx"))
    (failure,) = serve({"m": folder}, pipeline_files={"m": wrong}).failures
    assert "'token_idx' does not exist" in str(failure)
    assert "Did you mean 'token_ids'?" in str(failure)


def test_image_files_are_decoded_and_scaled_as_in_training(serve: Any, keras: Any, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = keras.Input((8, 8, 3), name="pixels")
    model = keras.Model(pixels, {"scores": keras.layers.Dense(3)(keras.layers.Flatten()(pixels))})
    model.export(str(tmp_path / "model" / "1"), verbose=False)
    steps = [{"decode_image": {"height": 8, "width": 8}}, {"scale": {"factor": 1 / 127.5, "offset": -1.0}}]
    declared = {"raw": {"file": {"dtype": "string"}}, "inputs": {"pixels": {"from": "file", "steps": steps}}}
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
    drawn = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    files = []
    for each in drawn:
        held = io.BytesIO()
        image.fromarray(each).save(held, "PNG")
        files.append({"b64": base64.b64encode(held.getvalue()).decode()})
    server = serve({"m": tmp_path / "model"}, pipeline_files={"m": pipeline})
    assert not server.failures
    answer = post(server.url, "m", instances=files)
    want = np.asarray(model(drawn.astype(np.float32) / 127.5 - 1)["scores"])
    np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-4, atol=1e-5)
