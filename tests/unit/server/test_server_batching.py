import logging

import pytest

from unstuck.batching.proof import Verdict
from unstuck.batching.sizes import BatchSize
from unstuck.core.batching import BatchingParameters
from unstuck.errors import SetupError
from unstuck.lifecycle.source import VersionPath
from unstuck.server.batching import ServerBatching, learned_batch

OF_SERVER = BatchingParameters(max_batch_size=7, num_batch_threads=1)
VERDICTS = {
    "good": Verdict(),
    "unproven": Verdict("it keeps state"),
    "mixes": Verdict("its rows differ", is_wrong=True),
}


@pytest.fixture
def batching():
    made = []

    def make(**kwargs):
        made.append(ServerBatching(OF_SERVER, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_what_is_known_to_mix_rows_is_left_out_and_said(batching, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = batching(per_model=False).of("m", VersionPath(3, tmp_path), VERDICTS)
    assert found.parameters == {"good": OF_SERVER, "unproven": OF_SERVER}
    (record,) = caplog.records
    assert "Model 'm' version 3, signature 'mixes': its calls are not batched" in record.getMessage()
    assert record.getMessage().endswith("rows differ")


@pytest.mark.parametrize("is_file", [False, True])
def test_a_version_says_itself_how_its_calls_wait(batching, tmp_path, is_file):
    path = tmp_path / "model.onnx" if is_file else tmp_path
    if is_file:
        path.touch()
    per_model = batching(per_model=True)
    assert per_model.of("m", VersionPath(3, path), VERDICTS) is None
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 5 }")
    assert per_model.of("m", VersionPath(3, path), VERDICTS).parameters["good"] == BatchingParameters(max_batch_size=5)
    assert batching(per_model=False).of("m", VersionPath(3, path), VERDICTS).parameters["good"] == OF_SERVER


def test_a_file_that_cannot_be_used_is_the_versions_error(batching, tmp_path):
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 0 }")
    with pytest.raises(SetupError, match=r"batching_params.pbtxt, line 1: max_batch_size: expected 1 or more"):
        batching(per_model=True).of("m", VersionPath(3, tmp_path), VERDICTS)


def test_what_was_learned_of_a_signatures_batches():
    def size(cheaper):
        made = BatchSize()
        for _ in range(3):
            made.next()
            made.learn(1, 1, 1000)
            made.learn(8, 8, 8000 // cheaper)
        return made

    version, another = object(), object()
    sizes = {
        (id(version), "small", ("y",), ((3,),)): size(2),
        (id(version), "small", ("y",), ((4,),)): BatchSize(),  # of which nothing is known
        (id(another), "small", ("y",), ((3,),)): size(4),
        "a key of the timer's": size(8),
    }
    found = learned_batch(lambda: sizes, version, "small")
    assert found == {"rows": sizes[id(version), "small", ("y",), ((3,),)].rows, "gain": 2.0}
    assert learned_batch(lambda: sizes, version, "other") is None
