"""A trained model of the outside world: Spotify's basic-pitch, which finds the notes in audio, served over REST."""

from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest

RATE = 22_050  # samples a second
WINDOW = 43_844  # samples in one input row
HOP = WINDOW - 30 * 256  # windows overlap by 30 of the model's frames, as in basic-pitch's own inference
LOWEST_MIDI = 21  # the first of the 88 notes that the model knows
A4, E5 = 69, 76


@pytest.fixture(scope="module")
def model_path():
    spec = find_spec("basic_pitch")  # found, not imported: the package needs libraries that are not there
    assert spec is not None, "basic-pitch is not installed; ./dev setup installs it"
    (folder,) = spec.submodule_search_locations
    (saved_model,) = Path(folder).glob("saved_models/**/saved_model.pb")
    return saved_model.parent


@pytest.fixture(scope="module")
def windows():
    """Two seconds of A4, then two of E5, with harmonics and noise, cut into float32 [3, 43844, 1]."""
    seconds = np.arange(2 * RATE) / RATE
    notes = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((midi - A4) / 12) * k * seconds) / k for k in (1, 2, 3, 4))
        * np.exp(-seconds)
        for midi in (A4, E5)
    ]
    audio = 0.3 * np.concatenate(notes) + np.random.default_rng(0).normal(0, 0.005, 4 * RATE)
    starts = range(0, len(audio), HOP)
    padded = np.pad(audio, (0, starts[-1] + WINDOW - len(audio)))
    return np.stack([padded[start : start + WINDOW] for start in starts]).astype(np.float32)[..., None]


@pytest.fixture(scope="module")
def expected(model_path, windows):
    """TensorFlow's own outputs by alias. (``tf.saved_model.load`` fails on this export's optimizer variables.)"""
    import tensorflow as tf

    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(model_path)).signature_def["serving_default"]
        outputs = {alias: info.name for alias, info in signature.outputs.items()}
        return session.run(outputs, {signature.inputs["input_2"].name: windows})


@pytest.fixture(scope="module")
def url(serve, model_path):
    server = serve({"basic_pitch": model_path})
    assert not server.failures
    return f"{server.url}/v1/models/basic_pitch:predict"


def test_rows_equal_tensorflow(url, windows, expected):
    rows = predict(url, {"instances": windows.tolist()})["predictions"]
    assert_equal({alias: [row[alias] for row in rows] for alias in expected}, expected)


def test_columns_equal_tensorflow(url, windows, expected):
    assert_equal(predict(url, {"inputs": {"input_2": windows.tolist()}})["outputs"], expected)


def test_one_window_equals_its_row_of_the_batch(url, windows, expected):
    (row,) = predict(url, {"instances": windows[1:2].tolist()})["predictions"]
    assert_equal(row, {alias: value[1] for alias, value in expected.items()})


def test_it_hears_the_notes(url, windows):
    """The input was real: the first window's strongest note is the first one played, the last window's the second."""
    first, *_, last = predict(url, {"instances": windows.tolist()})["predictions"]
    assert [strongest_note(first["note"]), strongest_note(last["note"])] == [A4, E5]


def test_one_sample_too_few_is_refused(url, windows):
    answer = httpx.post(url, json={"instances": windows[:, 1:].tolist()}, timeout=60)
    assert answer.status_code == 400
    for word in ("basic_pitch", "input_2", "[-1,43844,1]", "[3,43843,1]"):
        assert word in answer.json()["error"]


def predict(url, body):
    answer = httpx.post(url, json=body, timeout=60)
    assert answer.status_code == 200, answer.text[:1000]
    return answer.json()


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    for alias, value in expected.items():
        np.testing.assert_allclose(got[alias], value, rtol=0, atol=1e-5, err_msg=alias)


def strongest_note(frames):
    return LOWEST_MIDI + int(np.argmax(np.mean(frames, axis=0)))
