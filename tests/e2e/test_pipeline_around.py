"""Pipelines around a model, over REST and gRPC: a tokenizer.json and a function before it, and ONNX models."""

from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordLevelTrainer

from unstuck.cli.main import main
from unstuck.testing import onnx_models

LENGTH = 8
TEXTS = [
    "The film was great!",
    "the film WAS not great.",
    "awful food",
    "",
    "great plot, great film, great price, and long",
]
FUNCTION = """
import numpy as np


def exclamations(text):
    if any(len(each) > 100 for each in text):
        raise ValueError("a text is longer than 100 bytes")
    return np.array([[each.count(b"!")] for each in text], np.float32)
"""


def post(url: str, model: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/{model}:predict", json=body, timeout=30)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = Lowercase(), Whitespace()
    made.train_from_iterator(TEXTS, WordLevelTrainer(special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.enable_truncation(LENGTH)
    made.enable_padding(length=LENGTH)
    return made


@pytest.fixture(scope="module")
def classifier(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A classifier of token ids, their mask and a count, with its pipeline in its version's folder."""
    import keras

    keras.utils.set_random_seed(7)
    ids = keras.Input((LENGTH,), dtype="int64", name="input_ids")
    mask = keras.Input((LENGTH,), dtype="int64", name="attention_mask")
    count = keras.Input((1,), name="exclamations")
    embedded = keras.layers.Embedding(tokenizer.get_vocab_size(), 4)(ids)
    masked = embedded * keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(masked), count])
    scores = keras.layers.Dense(2, activation="softmax", bias_initializer="random_normal")(joined)
    model = keras.Model([ids, mask, count], {"scores": scores})
    folder = tmp_path_factory.mktemp("tokenized")
    model.export(str(folder / "1"), verbose=False)
    extra = folder / "1" / "assets.extra" / "unstuck"
    extra.mkdir(parents=True)
    tokenizer.save(str(extra / "tokenizer.json"))
    (extra / "prepare.py").write_text(FUNCTION)
    declared = {
        "raw": {"text": {"dtype": "string"}},
        "python": {
            "encoding": {"tokenizer": "tokenizer.json", "from": "text", "length": LENGTH},
            "count": {
                "function": "prepare.py:exclamations", "from": "text", "dtype": "float", "shape": [1],
                "stateless": True,
            },
        },
        "inputs": {
            "input_ids": "encoding.ids",
            "attention_mask": "encoding.attention_mask",
            "exclamations": {"from": "count", "steps": [{"clip": {"min": 0, "max": 3}}]},
        },
    }  # fmt: skip
    (extra / "pipeline.yaml").write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
    encoded = [tokenizer.encode(text) for text in TEXTS]
    columns = [
        np.array([each.ids for each in encoded]),
        np.array([each.attention_mask for each in encoded]),
        np.array([[text.count("!")] for text in TEXTS], np.float32),
    ]
    return folder, np.asarray(model(columns)["scores"])


def test_raw_text_gives_what_the_model_predicts_for_the_tokenizers_ids(serve: Any, classifier: Any) -> None:
    folder, want = classifier
    server = serve({"m": folder}, allow_unsafe_ops=True)
    assert not server.failures
    answer = post(server.url, "m", instances=TEXTS)
    np.testing.assert_allclose(answer.json()["predictions"], want, rtol=1e-5)
    assert len({tuple(row) for row in answer.json()["predictions"]}) == len(TEXTS)
    with httpx.Client(base_url=server.url) as client:
        alone = [client.post("/v1/models/m:predict", json={"instances": [text]}).json() for text in TEXTS]
    np.testing.assert_allclose([each["predictions"][0] for each in alone], want, rtol=1e-5)
    metadata = httpx.get(f"{server.url}/v1/models/m/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert [*metadata["serving_default"]["inputs"]] == ["text"]
    assert sorted(metadata["serving_default_unprepared"]["inputs"]) == ["attention_mask", "exclamations", "input_ids"]


def test_it_is_the_same_over_grpc(serve: Any, classifier: Any) -> None:
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    folder, want = classifier
    server = serve({"m": folder}, allow_unsafe_ops=True)
    request = PredictRequest()
    request.model_spec.name = "m"
    text = request.inputs["text"]
    text.dtype = 7
    text.tensor_shape.dim.add().size = len(TEXTS)
    text.string_val.extend(each.encode() for each in TEXTS)
    with grpc.insecure_channel(server.grpc_address) as channel:
        scores = PredictionServiceStub(channel).Predict(request, timeout=30).outputs["scores"]
    np.testing.assert_allclose(np.reshape(scores.float_val, want.shape), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x" * 101, "python.count (prepare.py:exclamations) refused its input: a text is longer than 100 bytes"),
        ({"b64": "/w=="}, "python.encoding: it takes UTF-8, got the bytes b'\\xff'"),
    ],
)
def test_what_python_refuses_is_the_clients_error(serve: Any, classifier: Any, text: Any, says: str) -> None:
    folder, _ = classifier
    answer = post(serve({"m": folder}, allow_unsafe_ops=True).url, "m", instances=[text])
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_missing_tokenizer_keeps_the_model_from_being_served(serve: Any, classifier: Any, tmp_path: Path) -> None:
    folder, _ = classifier
    extra = folder / "1" / "assets.extra" / "unstuck"
    for name in ("pipeline.yaml", "prepare.py"):
        (tmp_path / name).write_text((extra / name).read_text())
    file = tmp_path / "pipeline.yaml"
    (failure,) = serve({"m": folder}, pipeline_files={"m": file}).failures
    assert f"python.encoding: its file {tmp_path / 'tokenizer.json'} cannot be read" in failure.message


# ONNX models. c string in capitals is "shouted", and the sum of a float [-1,2] and b int64 [-1] is "total".

ONNX = {
    "raw": {"text": {"dtype": "string"}, "price": {"dtype": "float"}},
    "inputs": {
        "a": {"concat": ["price", {"from": "price", "steps": [{"z_score": {"mean": 10, "std": 2}}]}]},
        "b": {"from": "text", "steps": [{"vocabulary": {"tokens": ["one", "two"], "unknown": 0, "first_id": 1}}]},
        "c": {"from": "text", "steps": ["strip"]},
    },
    "outputs": {"total": "total", "text": {"from": "shouted", "steps": [{"replace": {"pattern": "O", "by": "0"}}]}},
}
ROWS = [{"text": "one ", "price": 12}, {"text": "two", "price": 8}]
WANT = [{"text": "0NE", "total": 13.0}, {"text": "TW0", "total": 9.0}]


@pytest.mark.parametrize("place", ["in its version's folder", "named", "named, for a file"])
def test_an_onnx_model_takes_what_its_pipeline_declares(serve: Any, tmp_path: Path, place: str) -> None:
    version = onnx_models.multi_io(tmp_path / "m")
    file = tmp_path / "pipeline.yaml"
    settings: dict[str, Any] = {"pipeline_files": {"m": file}}
    if place.startswith("in"):
        file, settings = version / "assets.extra" / "unstuck" / "pipeline.yaml", {}
        file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump({"signatures": {"serving_default": ONNX}}))
    server = serve({"m": version / "model.onnx" if place.endswith("file") else tmp_path / "m"}, **settings)
    assert not server.failures
    assert post(server.url, "m", instances=ROWS).json() == {"predictions": WANT}
    unprepared = {"a": [[1, 2]], "b": [3], "c": ["x"]}
    answer = post(server.url, "m", signature_name="serving_default_unprepared", inputs=unprepared)
    assert answer.json()["outputs"]["total"] == [6.0]


def test_a_pipeline_that_does_not_fit_keeps_the_onnx_model_from_being_served(serve: Any, tmp_path: Path) -> None:
    onnx_models.multi_io(tmp_path / "m")
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump({"signatures": {"serving_default": {**ONNX, "inputs": {"a": "price"}}}}))
    (failure,) = serve({"m": tmp_path / "m"}, pipeline_files={"m": file}).failures
    assert "pipeline: input 'b' (int64 [-1]) is not declared" in failure.message


def test_an_onnx_model_is_not_baked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(yaml.safe_dump({"signatures": {"serving_default": ONNX}}))
    version = onnx_models.multi_io(tmp_path / "m")
    for model in (version, version / "model.onnx", tmp_path / "m"):
        assert main(["bake", str(model), str(tmp_path / "out"), f"--pipeline={file}"]) != 0
        assert "is no SavedModel" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
