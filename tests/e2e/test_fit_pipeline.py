"""``unstuck fit-pipeline`` from raw CSV, then a server that predicts as training did and hears of skewed requests."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from examples import tabular, text
from unstuck import Client
from unstuck.cli.main import main

ROOT = Path(__file__).parents[2]
EXTRA = Path("1/assets.extra/unstuck")


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    keras.utils.set_random_seed(7)
    return keras


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def classifier(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The text example's network behind its tokenisation, which the export leaves to clients."""
    folder = tmp_path_factory.mktemp("reviews")
    texts, probabilities = text.reviews(1500, seed=1)
    tokenise = keras.layers.TextVectorization(output_sequence_length=text.LENGTH)
    tokenise.adapt(texts)
    ids = keras.Input((text.LENGTH,), dtype="int64", name="token_ids")
    words = keras.layers.Embedding(tokenise.vocabulary_size(), 4)(ids)
    model = keras.Model(ids, {"scores": keras.layers.Dense(2)(keras.layers.Flatten()(words))})
    model.export(str(folder / "model" / "1"), verbose=False)
    write_csv(folder / "reviews.csv", ["text", "probability"], zip(texts, probabilities, strict=True))
    return folder, texts, lambda sent: np.asarray(model(tokenise(np.array(sent)))["scores"])


@pytest.fixture(scope="module")
def risk(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A network of one input, whose two normalised features only training knew; the file has another order."""
    folder = tmp_path_factory.mktemp("bearings")
    features, probabilities = tabular.bearings(1000, seed=1)
    joined = keras.Input((2,), name="concatenated_features")
    model = keras.Model(joined, {"score": keras.layers.Dense(1)(keras.layers.Dense(3, activation="tanh")(joined))})
    model.export(str(folder / "model" / "1"), verbose=False)
    rows = [(float(b), float(p), float(a)) for (a, b), p in zip(features, probabilities, strict=True)]
    write_csv(folder / "bearings.csv", ["feature_b", "failed", "feature_a"], rows)
    normalised = (features - features.mean(0)) / features.std(0)
    return folder, features, np.asarray(model(normalised)["score"])


def fit_pipeline(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "unstuck", "fit-pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def post(url: str, model: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/{model}:predict", json=body, timeout=30)


def test_text_from_csv_gives_training_vocabulary_and_its_predictions(serve: Any, classifier: Any) -> None:
    folder, texts, predict = classifier
    arguments = [folder / "model", "--training-data", folder / "reviews.csv"]
    asked = fit_pipeline(*arguments)
    assert asked.returncode == 1
    assert "Give --text=keras if by TextVectorization" in asked.stderr
    done = fit_pipeline(*arguments, "--text=keras")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Learnt from 1,500 rows" in done.stdout
    assert "token_ids (int64 [-1,24]) is made of 'text'" in done.stdout
    assert "not used: 'probability'" in done.stdout
    server = serve({"m": folder / "model"}, on_skew="reject")
    assert not server.failures
    sent = [*texts[:20], "The VIEW, was not good?!", "it was unheard of, but great"]
    answer = post(server.url, "m", instances=sent)
    np.testing.assert_allclose(answer.json()["predictions"], predict(sent), rtol=1e-5)
    refused = post(server.url, "m", instances=["great film", "[12, 7, 4]"])
    assert refused.status_code == 400
    assert "row 1 is '[12, 7, 4]', and no of its words is in training's vocabulary" in refused.json()["error"]


def test_numbers_from_csv_are_joined_in_the_named_order_and_normalised(serve: Any, risk: Any) -> None:
    folder, features, want = risk
    arguments = [str(folder / "model"), f"--training-data={folder / 'bearings.csv'}"]
    arguments += ["--features=feature_a,feature_b", "--normalise=z_score"]
    assert fit_pipeline(*arguments).returncode == 0
    assert "has pipeline.yaml, profile.json already. Give --force" in fit_pipeline(*arguments).stderr
    assert fit_pipeline(*arguments, "--force").returncode == 0
    server = serve({"m": folder / "model"}, on_skew="warn")
    assert not server.failures
    sent = [{"feature_b": float(b), "feature_a": float(a)} for a, b in features[:50]]
    answer = post(server.url, "m", instances=sent)
    np.testing.assert_allclose(answer.json()["predictions"], want[:50], rtol=1e-4, atol=1e-5)
    assert "x-unstuck-warning" not in answer.headers
    swapped = post(server.url, "m", instances=[{"feature_a": 3000.0, "feature_b": 70.0}])
    assert swapped.status_code == 200
    assert "input 'feature_a', row 0 is 3000; in training it was from" in swapped.headers["x-unstuck-warning"]
    with Client(f"grpc://{server.grpc_address}", model="m") as client:
        assert "is 3000" in client.predict(feature_a=[3000.0], feature_b=[70.0]).warnings[0]
        assert not client.predict(feature_a=[70.0], feature_b=[3000.0]).warnings


def test_the_feature_example_gets_a_profile_and_no_second_normalisation(serve: Any, tmp_path: Path) -> None:
    """Its graph normalises by itself: the pipeline passes on, and the profile notices swapped fields."""
    subprocess.run([sys.executable, "-m", "examples.export"], cwd=ROOT, check=True, timeout=120)
    from examples.export import MODELS

    model = tmp_path / "feature_concat"
    (model / "1").mkdir(parents=True)
    for part in (MODELS / "feature_concat" / "1").iterdir():
        (model / "1" / part.name).symlink_to(part)
    features, _ = tabular.bearings(300, seed=2)
    data = write_csv(tmp_path / "b.csv", ["feature_a", "feature_b"], features.tolist())
    assert fit_pipeline(model, f"--training-data={data}", "--normalise=none").returncode == 0
    profile = json.loads((model / EXTRA / "profile.json").read_text())
    assert profile["features"]["feature_a"]["mean"] == pytest.approx(float(features[:, 0].mean()), rel=1e-5)
    plain = serve({"m": MODELS / "feature_concat"})
    for on_skew, skewed in (("count", 200), ("reject", 400), ("ignore", 200)):
        server = serve({"m": model}, on_skew=on_skew)
        assert not server.failures
        sent = [{"feature_a": float(a), "feature_b": float(b)} for a, b in features[:9]]
        want = post(plain.url, "m", instances=[{name: [value] for name, value in row.items()} for row in sent])
        answer = post(server.url, "m", instances=sent)
        np.testing.assert_allclose(answer.json()["predictions"], want.json()["predictions"], rtol=1e-5)
        assert post(server.url, "m", instances=[{"feature_a": 3000.0, "feature_b": 70.0}]).status_code == skewed


def test_a_profile_that_cannot_be_read_keeps_the_model_from_being_served(serve: Any, risk: Any, tmp_path: Path) -> None:
    folder, _, _ = risk
    model = tmp_path / "model"
    (model / EXTRA).mkdir(parents=True)
    for part in (folder / "model" / "1").iterdir():
        if part.name != "assets.extra":
            (model / "1" / part.name).symlink_to(part)
    (model / EXTRA / "profile.json").write_text('{"schema": 7}')
    (failure,) = serve({"m": model}).failures
    assert "profile.json is not a training profile: schema: input should be 1" in str(failure)
    assert not serve({"m": model}, on_skew="ignore").failures


def test_arguments_that_do_not_fit(risk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _, _ = risk
    data = f"--training-data={folder / 'bearings.csv'}"
    model = [str(folder / "model"), f"--out={tmp_path / 'out'}"]
    cases = [
        ([*model], "Expected one MODEL and --training-data=FILE"),
        ([*model, data, "--signature=serving_defualt"], "Did you mean 'serving_default'?"),
        ([*model, data, "--normalise=zscore"], "expected z_score, min_max or none"),
        ([*model, data, "--map", "concatenated_features"], "expected INPUT=COLUMN,COLUMN"),
        ([*model, data, "--map", "concatenated_features=feature_a,feature_c"], "have no column 'feature_c'"),
        ([*model, data, "--text=bert"], "expected keras"),
        ([*model, data], "It is not plain which columns make 'concatenated_features'"),
        ([*model, data, "--features=feature_a,feature_b"], "How did training normalise 'feature_a', 'feature_b'"),
        ([*model, "--training-data=none.csv"], "none.csv does not exist"),
    ]
    for arguments, says in cases:
        assert main(["fit-pipeline", *arguments]) == 1, says
        assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["fit-pipeline", "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


def test_fitting_imports_no_framework(risk: Any, tmp_path: Path) -> None:
    folder, _, _ = risk
    arguments = ["fit-pipeline", str(folder / "model"), f"--training-data={folder / 'bearings.csv'}"]
    arguments += ["--features=feature_a,feature_b", "--normalise=min_max", f"--out={tmp_path / 'out'}"]
    script = f"from unstuck.cli.main import main; import sys; assert main({arguments!r}) == 0; "
    script += "print(sorted({'tensorflow', 'onnxruntime', 'pyarrow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["[]"], "")


MEASURED = """
import resource, sys
from unstuck.data import read_batches
from unstuck.data.columns import Column
from unstuck.data.profiling import statistics_of
def peak_mib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
statistics, before = {}, 0
for number, batch in enumerate(read_batches(sys.argv[1])):
    for name, array in batch.items():
        statistics.setdefault(name, statistics_of(Column(name, array.dtype, array.shape[1:]))).add(array)
    before = before or (number == 3 and peak_mib())
print(peak_mib() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "npz", "parquet", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str) -> None:
    """300 MB (100 MB of text): what is held after some batches is what is held after all."""
    path = tmp_path / f"data.{form}"
    random = np.random.default_rng(0)
    if form in ("csv", "jsonl"):
        with path.open("w") as file:
            if form == "csv":
                file.write("a,b,text\n")
            for at in range(25_000):
                words = " ".join(map(str, random.integers(0, 9999, 800)))
                row = f'{at},{at / 7},"{words}"' if form == "csv" else json.dumps({"a": at, "b": at / 7, "t": words})
                file.write(row + "\n")
    elif form == "npz":
        np.savez(path, x=random.integers(0, 255, (400_000, 784), np.uint8))
    else:
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([("x", pyarrow.list_(pyarrow.float32(), 32))])
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for _ in range(40):
                values = pyarrow.array(random.random(60_000 * 32, np.float32))
                writer.write_table(pyarrow.table([pyarrow.FixedSizeListArray.from_arrays(values, 32)], schema=schema))
    assert path.stat().st_size > (90 << 20)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.stderr == ""
    assert float(done.stdout) < 60
