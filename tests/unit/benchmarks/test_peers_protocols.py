import json

import pytest

from benchmarks.peers import protocols
from benchmarks.peers.protocols import BENTOML, LITSERVE, OPEN_INFERENCE, TENSORFLOW

ROW = [[0.1, 0.2], [0.3, 0.4]]
ALL = {"tensorflow": TENSORFLOW, "bentoml": BENTOML, "litserve": LITSERVE, "v2": OPEN_INFERENCE}


@pytest.mark.parametrize(
    ("protocol", "body"),
    [("tensorflow", {"instances": [ROW]}), ("bentoml", {"x": [ROW]}), ("litserve", {"input": ROW})],
)
def test_a_row_is_asked_for_as_it_is_nested(protocol, body):
    assert json.loads(ALL[protocol].request("x", ROW)) == body


def test_the_open_inference_protocol_has_flat_data_and_a_shape():
    (tensor,) = json.loads(OPEN_INFERENCE.request("image", ROW))["inputs"]
    assert tensor == {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}
    (tensor,) = json.loads(OPEN_INFERENCE.request("text", "so it goes"))["inputs"]
    assert tensor == {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["so it goes"]}


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("tensorflow", {"predictions": [[0.5, 0.25]]}),
        ("bentoml", [[0.5, 0.25]]),
        ("litserve", {"output": [0.5, 0.25]}),
        ("v2", {"outputs": [{"name": "y", "shape": [1, 2], "data": [0.5, 0.25]}]}),
    ],
)
def test_the_scores_of_a_row_are_found(protocol, answer):
    assert ALL[protocol].scores(json.dumps(answer).encode()) == [0.5, 0.25]


@pytest.mark.parametrize(
    "said", [b"", b"{}", b"[]", b'{"error": "no"}', b'{"predictions": []}', b'{"predictions": ["no"]}', b"7", b"null"]
)
def test_what_is_no_answer_is_an_error_that_shows_it(said):
    with pytest.raises(ValueError, match="no scores in"):
        protocols.TENSORFLOW.scores(said)
