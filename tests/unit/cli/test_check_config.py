"""``unstuck check-config`` on files and folders; nothing is loaded."""

import pytest

from unstuck.cli import check_config
from unstuck.errors import SetupError
from unstuck.testing import onnx_models


@pytest.fixture
def folder(tmp_path):
    """``a`` with the SavedModels 1 and 2, ``b`` with an ONNX model."""
    for version in ("1", "2"):
        (tmp_path / "a" / version).mkdir(parents=True)
        (tmp_path / "a" / version / "saved_model.pb").write_bytes(b"never read")
    onnx_models.half_plus_two(tmp_path / "b")
    return tmp_path


def models(folder, *configs):
    file = folder / "models.config"
    lines = ["model_config_list {", *(f"  config {{ {each.replace('@', str(folder))} }}" for each in configs), "}"]
    file.write_text("\n".join(lines))
    return str(file)


def test_a_right_file_says_what_would_be_served(folder, capsys):
    file = models(
        folder,
        'name: "a" base_path: "@/a" model_version_policy { all {} } version_labels { key: "stable" value: 1 }',
        'name: "b" base_path: "@/b" model_platform: "onnx"',
        'name: "c" base_path: "@/a/2"',
    )
    assert check_config.run([file]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"a: version 1, 2 of {folder}/a (tensorflow), 'stable' is 1",
        f"b: version 1 of {folder}/b (onnx)",
        f"c: version 2 of {folder}/a/2 (tensorflow)",
        "Labels at start-up need --allow_version_labels_for_unavailable_models.",
    ]


def test_everything_that_is_wrong_on_disk_is_told_with_its_line(folder, capsys):
    (folder / "a" / "3").mkdir()
    file = models(
        folder,
        'name: "none" base_path: "@/none"',
        'name: "few" base_path: "@/a" model_version_policy { specific { versions: [1, 8, 9] } }',
        'name: "label" base_path: "@/a" model_version_policy { specific { versions: 2 } }',
        'name: "late" base_path: "@/b" version_labels { key: "stable" value: 4 }',
        'name: "empty" base_path: "@/a"',
        'name: "other" base_path: "@/b" model_platform: "tensorflow"',
    )
    assert check_config.run([file]) == 1
    said = capsys.readouterr().err.replace(file, "F").replace(str(folder), "@").splitlines()
    assert said == [
        "F:2: Model 'none': @/none is not a folder. @ exists and has a, b, models.config.",
        "F:3: Model 'few': model_version_policy names version 8, which is not in @/a.",
        "F:3: Model 'few': model_version_policy names version 9, which is not in @/a.",
        "F:5: Model 'late': 'stable' is a label of version 4, but only 1 would be served.",
        "F:6: Model 'empty': @/a/3 has no saved_model.pb, model.onnx or model.tflite.",
        "F:7: Model 'other': model_platform is 'tensorflow', but @/b/1 is of the platform 'onnx'.",
    ]


def test_a_label_of_a_model_of_which_nothing_would_be_served(folder, capsys):
    policy = "model_version_policy { specific { versions: 7 } }"
    file = models(folder, f'name: "a" base_path: "@/a" {policy} version_labels {{ key: "stable" value: 7 }}')
    assert check_config.run([file]) == 1
    assert "'stable' is a label of version 7, but none would be served." in capsys.readouterr().err


def test_a_version_s_own_batching_parameters_are_read(folder, capsys):
    file = models(folder, 'name: "a" base_path: "@/a" model_version_policy { all {} }')
    parameters = folder / "a" / "1" / "batching_params.pbtxt"
    parameters.write_text("max_batch_size { value: 8 }")
    assert check_config.run([file]) == 0
    parameters.write_text("\nmax_batch_size { value: 0 }")
    assert check_config.run([file]) == 1
    assert f"{file}:2: Model 'a': {parameters}, line 2: max_batch_size" in capsys.readouterr().err


def test_mistakes_of_the_text_come_first(folder, capsys):
    file = models(folder, 'nme: "a" base_path: "@/none"', 'name: "b" base_path: "b"')
    assert check_config.run([file]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(f"{file}:")[:2] for line in said] == ["2:", "2:", "3:"]
    assert "ModelConfig has no field 'nme'. Did you mean 'name'?" in said[0]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--fast"]])
def test_it_takes_one_file(arguments):
    with pytest.raises(SetupError, match="Expected one FILE"):
        check_config.run(arguments)


def test_a_file_that_is_not_there():
    with pytest.raises(SetupError, match="cannot be read"):
        check_config.run(["/none"])
