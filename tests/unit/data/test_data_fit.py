"""From a signature and columns to a pipeline: what is plain is done, what is not is asked for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.unit.fakes import signature, spec
from unstuck.core.dtypes import BFLOAT16, BOOL, DOUBLE, FLOAT, INT32, INT64, STRING
from unstuck.data import open_data
from unstuck.data.fit import Fitted, Wanted, check_said, fit, save
from unstuck.data.matching import FitError, match
from unstuck.errors import SetupError
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.pipeline.profile import ProfileError, read_profile

ROWS = 40
RANDOM = np.random.default_rng(3)
COLUMNS: dict[str, Any] = {
    "a": RANDOM.normal(5, 2, ROWS),
    "b": RANDOM.integers(0, 9, ROWS),
    "text": np.array(["The film, the plot", "A film!"] * (ROWS // 2)),
    "kind": np.array(["red", "blue", "red", "green"] * (ROWS // 4)),
    "flag": np.arange(ROWS) % 2 == 0,
    "image": RANDOM.random((ROWS, 4, 3)).astype(np.float32),
}


def data(folder: Path, **columns: Any) -> Any:
    np.savez(folder / "data.npz", **columns)
    return open_data(folder / "data.npz")


def learnt(folder: Path, taken: Any, columns: Mapping[str, Any] = COLUMNS, named: Any = None, **wanted: Any) -> Fitted:
    opened = data(folder, **columns)
    made = match(taken, opened.columns, named or {})
    said = Wanted(**{"normalise": "z_score", "text": True, **wanted})
    check_said(made, said)
    return fit(opened, taken, made, said, lambda read, of: None)


def declared(fitted: Fitted) -> Any:
    return yaml.safe_load(fitted.files["pipeline.yaml"])["signatures"]["serving_default"]


def test_columns_of_the_inputs_names_are_taken_as_they_are_or_normalised(tmp_path: Path) -> None:
    taken = signature(
        spec("a", FLOAT, (None, 1)), spec("b", INT64, (None,)), spec("flag", BOOL, (None,)), spec("kind", STRING)
    )
    fitted = learnt(tmp_path, taken)
    found = declared(fitted)
    assert found["raw"] == {
        "a": {"dtype": "float"},
        "b": {"dtype": "int64"},
        "flag": {"dtype": "bool"},
        "kind": {"dtype": "string"},
    }
    (step,) = found["inputs"]["a"]["steps"]
    assert step["z_score"] == pytest.approx({"mean": COLUMNS["a"].mean(), "std": COLUMNS["a"].std()})
    assert found["inputs"]["b"] == {"from": "b"}
    assert any("not used: 'text', 'image'" in note for note in fitted.notes)
    save(fitted, tmp_path / "out", {"serving_default": taken}, force=False)
    profile = read_profile(tmp_path / "out" / "profile.json")
    assert profile.rows == ROWS
    assert profile.features["b"].distinct == len(set(COLUMNS["b"].tolist()))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pipeline.yaml", "profile.json"]


@pytest.mark.parametrize(
    ("normalise", "steps"),
    [
        ("none", None),
        ("min_max", [{"min_max": {"min": COLUMNS["b"].min(), "max": COLUMNS["b"].max()}}]),
    ],
)
def test_numbers_are_normalised_as_the_user_says(tmp_path: Path, normalise: str, steps: Any) -> None:
    found = declared(learnt(tmp_path, signature(spec("b", DOUBLE, (None,))), normalise=normalise))
    assert found["raw"] == {"b": {"dtype": "double"}}
    assert found["inputs"]["b"].get("steps") == steps


def test_what_was_one_value_throughout_is_not_divided_by_zero(tmp_path: Path) -> None:
    columns = {"x": np.full(5, 7.0), "v": np.array([[1.0, 2.0], [3.0, 2.0]] * 2 + [[1.0, 2.0]])}
    taken = signature(spec("x", FLOAT, (None,)), spec("v", FLOAT, (None, 2)))
    inputs = declared(learnt(tmp_path, taken, columns))["inputs"]
    assert inputs["x"]["steps"] == [{"z_score": {"mean": 7.0, "std": 1.0}}]
    assert inputs["v"]["steps"][0]["z_score"]["std"] == [pytest.approx(np.std([1, 3, 1, 3, 1])), 1.0]
    inputs = declared(learnt(tmp_path, taken, columns, normalise="min_max"))["inputs"]
    assert inputs["x"]["steps"] == [{"min_max": {"min": 7.0, "max": 8.0}}]
    assert inputs["v"]["steps"][0]["min_max"] == {"min": [1, 2], "max": [3, 3]}


def test_several_places_take_their_statistics_from_the_profile(tmp_path: Path) -> None:
    taken = signature(spec("image", BFLOAT16, (None, 4, 3)))
    fitted = learnt(tmp_path, taken)
    found = declared(fitted)
    assert found["raw"]["image"] == {"dtype": "float", "shape": [4, 3]}
    assert found["inputs"]["image"]["steps"] == [
        {"z_score": {"file": "profile.json", "feature": "image"}},
        {"cast": {"dtype": "bfloat16"}},
    ]
    save(fitted, tmp_path / "out", {"serving_default": taken}, force=False)
    mean = read_profile(tmp_path / "out" / "profile.json").features["image"].mean
    np.testing.assert_allclose(mean, COLUMNS["image"].mean((0, 1), np.float64))


def test_text_becomes_ids_as_keras_numbers_them(tmp_path: Path) -> None:
    taken = signature(spec("text", INT32, (None, 6)), spec("kind", INT64, (None, 1)))
    fitted = learnt(tmp_path, taken)
    inputs = declared(fitted)["inputs"]
    assert inputs["text"]["steps"] == [
        {"lowercase": {"ascii_only": True}},
        "remove_punctuation",
        "split",
        {"vocabulary": {"file": "text.vocabulary.txt", "unknown": 1, "first_id": 2}},
        {"pad": {"length": 6, "value": 0}},
        {"cast": {"dtype": "int32"}},
    ]
    assert inputs["kind"]["steps"] == [{"vocabulary": {"file": "kind.vocabulary.txt", "unknown": 0, "first_id": 1}}]
    assert fitted.files["text.vocabulary.txt"] == "the\nfilm\nplot\na\n"
    assert fitted.files["kind.vocabulary.txt"] == "red\ngreen\nblue\n"


def test_a_bounded_vocabulary_says_what_it_covers(tmp_path: Path) -> None:
    taken = signature(spec("text", INT64, (None, None)))
    fitted = learnt(tmp_path, taken, vocabulary_size=4)
    assert fitted.files["text.vocabulary.txt"] == "the\nfilm\n"
    save(fitted, tmp_path / "out", {"serving_default": taken}, force=False)
    vocabulary = read_profile(tmp_path / "out" / "profile.json").features["text"].vocabulary
    assert vocabulary is not None
    assert (vocabulary.size, vocabulary.coverage) == (2, pytest.approx(4 / 6))
    (pad,) = [step["pad"] for step in declared(fitted)["inputs"]["text"]["steps"] if "pad" in step]
    assert pad["length"] == 4, "the longest of nearly all texts"


def test_columns_are_joined_in_the_order_that_is_named_or_in_the_files(tmp_path: Path) -> None:
    taken = signature(spec("joined", FLOAT, (None, 2)))
    columns = {name: COLUMNS[name] for name in ("b", "a", "text")}
    fitted = learnt(tmp_path, taken, columns)
    assert [part["from"] for part in declared(fitted)["inputs"]["joined"]["concat"]] == ["b", "a"]
    assert any(
        "in the file's order; if training had another, name it: --map joined=b,a" in each for each in fitted.notes
    )
    fitted = learnt(tmp_path, taken, columns, {"joined": ["a", "b"]})
    assert [part["from"] for part in declared(fitted)["inputs"]["joined"]["concat"]] == ["a", "b"]
    assert not any("file's order" in note for note in fitted.notes)


def test_the_only_text_makes_the_only_input_of_ids(tmp_path: Path) -> None:
    columns = {"text": COLUMNS["text"], "label": COLUMNS["a"]}
    fitted = learnt(tmp_path, signature(spec("token_ids", INT64, (None, 6))), columns)
    assert declared(fitted)["inputs"]["token_ids"]["from"] == "text"


def test_missing_values_are_said(tmp_path: Path) -> None:
    fitted = learnt(tmp_path, signature(spec("x", FLOAT, (None,))), {"x": np.array([1.0, np.nan, 3.0, 5.0])})
    assert any("25.00% of 'x' are missing, and stay NaN" in note for note in fitted.notes)
    assert "# 25.00% missing in training" in fitted.files["pipeline.yaml"]


@pytest.mark.parametrize(
    ("taken", "named", "says"),
    [
        (signature(spec("x", FLOAT, (None, 3))), {}, r"not plain which columns make 'x'\. The model takes 'x' \(float"),
        (
            signature(spec("x", FLOAT, (None, 3))),
            {},
            r"'image' \(float32 \[4,3\]\)\. Name .* --map x=COLUMN,COLUMN,COL",
        ),
        (signature(spec("x", INT64, (None, 6))), {}, r"not plain which columns make 'x'"),  # text and kind
        (signature(spec("x"), spec("y")), {}, r"not plain which columns make 'x' and 'y'"),
        (signature(spec("a", FLOAT, (None,))), {"z": ["a"]}, r"The model has no input 'z'; there are 'a'"),
        (signature(spec("a", FLOAT, (None,))), {"a": ["aa"]}, r"data have no column 'aa'; .* Did you mean 'a'\?"),
        (
            signature(spec("text", FLOAT, (None,))),
            {},
            r"'text' takes float \[-1\], and the column 'text' is text \[\]\.",
        ),
        (signature(spec("a", INT64, (None,))), {}, r"'a' is float64 \[\]: some of its values have fractions, or are"),
        (signature(spec("a", BOOL, (None,))), {}, r"'a' takes bool \[-1\], and the column 'a' is float64"),
        (signature(spec("image", FLOAT, (None, 3, 4))), {}, r"'image' \(float32 \[4,3\]\) gives rows of \[4, 3\]"),
        (signature(spec("x", FLOAT, (None, 3))), {"x": ["a", "b"]}, r"'a' .* and 'b' .* give rows of \[2\]"),
        (signature(spec("x", FLOAT, (None, 2))), {"x": ["a", "text"]}, r"the column 'text' is text"),
        (signature(spec("x", FLOAT, (None, 2))), {"x": ["a", "image"]}, r"the column 'image' is float32 \[4,3\]"),
        (
            signature(spec("x", FLOAT, (None,)), spec("y", INT64, (None,))),
            {"x": ["b"], "y": ["b"]},
            r"column 'b' makes inputs of float and of int64",
        ),
    ],
)
def test_what_does_not_fit_shows_both_sides(tmp_path: Path, taken: Any, named: Any, says: str) -> None:
    with pytest.raises(FitError, match=says):
        learnt(tmp_path, taken, named=named)


def test_what_the_data_do_not_say_the_user_has_to(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"How did training normalise 'a', .*--normalise=z_score"):
        learnt(tmp_path, signature(spec("a", FLOAT, (None,))), normalise=None)
    with pytest.raises(FitError, match=r"How did training make ids of 'text', .*--text=keras"):
        learnt(tmp_path, signature(spec("text", INT64, (None, 6))), text=False)
    learnt(tmp_path, signature(spec("b", INT64, (None,))), normalise=None, text=False)


def test_a_column_that_stops_being_numbers_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("x\n1\n2\n?\n")
    with pytest.raises(FitError, match=r"the column 'x' is text \[\]: line 4 has '\?'"):
        match(signature(spec("x", FLOAT, (None,))), open_data(tmp_path / "x.csv").columns, {})


@pytest.mark.parametrize(("value", "says"), [("a\nb", "a line break cannot be part"), (b"\xff", "is not UTF-8 text")])
def test_values_that_no_vocabulary_file_can_hold(tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(FitError, match=says):
        learnt(tmp_path, signature(spec("x", INT64, (None,))), {"x": np.array([value] * 3)})
    with pytest.raises(FitError, match=r"'x' has no values to make a vocabulary of"):
        learnt(tmp_path, signature(spec("x", INT64, (None,))), {"x": np.array(["", ""])})


def test_names_that_yaml_would_read_otherwise(tmp_path: Path) -> None:
    names = ["no", "null", "1e3", "größe: x", "#", 'say "x"']
    taken = signature(*(spec(name, FLOAT, (None,)) for name in names))
    fitted = learnt(tmp_path, taken, {name: np.arange(3.0) for name in names})
    save(fitted, tmp_path / "out", {"serving_default": taken}, force=False)
    pipeline = read_pipeline(tmp_path / "out" / "pipeline.yaml")
    assert list(pipeline.signatures["serving_default"].raw) == sorted(names, key=list(taken.inputs).index)


def test_nothing_is_overwritten_unasked_and_nothing_half_written(tmp_path: Path) -> None:
    taken = signature(spec("a", FLOAT, (None,)))
    fitted = learnt(tmp_path, taken)
    out = tmp_path / "out"
    with pytest.raises(PipelineError, match="does not exist"):
        save(fitted, out, {"other": taken}, force=False)
    assert list(out.iterdir()) == []
    save(fitted, out, {"serving_default": taken}, force=False)
    with pytest.raises(SetupError, match=re.escape(f"{out} has profile.json, pipeline.yaml already. Give --force")):
        save(fitted, out, {"serving_default": taken}, force=False)
    save(fitted, out, {"serving_default": taken}, force=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not a training profile: the document: invalid JSON"),
        ('{"schema": 2, "rows": 1, "features": {"a": {"dtype": "float"}}}', "schema: input should be 1"),
        ('{"schema": 1, "rows": 1, "features": {"a": {"dtype": "float", "missing": 2}}}', r"features\.a\.missing: "),
        ('{"schema": 1, "rows": 1, "features": {}}', "features: "),
    ],
)
def test_a_profile_that_is_none(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "profile.json").write_text(content)
    with pytest.raises(ProfileError, match=says):
        read_profile(tmp_path / "profile.json")
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(tmp_path / "none.json")
