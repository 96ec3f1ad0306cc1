import numpy as np
import pytest

from unstuck.client.prediction import Prediction

Y = np.array([1.5, 2.5], np.float32)


def test_is_a_mapping_whose_only_array_has_no_need_of_a_name():
    prediction = Prediction({"y": Y}, ("careful",))
    assert dict(prediction) == {"y": Y}
    assert prediction.array is Y
    assert prediction.warnings == ("careful",)
    assert repr(prediction) == "Prediction({'y': array([1.5, 2.5], dtype=float32)}, warnings=('careful',))"
    with pytest.raises(ValueError, match="2 outputs, a, b"):
        _ = Prediction({"a": Y, "b": Y}).array


def test_becomes_a_data_frame():
    pytest.importorskip("pandas")
    texts = np.array([b"u", b"\xff"], object)
    frame = Prediction(
        {
            "y": Y,
            "one": Y[:, None],
            "p": np.array([[1, 2], [3, 4]]),
            "t": texts,
            "tt": np.array([[b"a", b"b"]] * 2, object),
        }
    ).to_dataframe()
    assert list(frame.columns) == ["y", "one", "p_0", "p_1", "t", "tt_0", "tt_1"]
    assert frame["y"].dtype == np.float32
    assert frame["p_1"].tolist() == [2, 4]
    assert frame["t"].tolist() == ["u", b"\xff"]
    assert frame["tt_1"].tolist() == ["b", "b"]


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"y": np.float32(1)}, r"'y' \[\] is no table"),
        ({"y": np.zeros((1, 2, 3))}, r"'y' \[1,2,3\] is no table"),
        ({"y": Y, "z": np.zeros(3)}, "different numbers of rows"),
    ],
)
def test_what_is_no_data_frame(outputs, says):
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match=says):
        Prediction(outputs).to_dataframe()
