"""What commands make of a URL that is no served model's; ``file://`` goes the way of every store."""

import pytest

from unstuck.cli import bake, check_config, diagnose, inspect
from unstuck.cli.endpoint import is_served
from unstuck.cli.on_disk import find
from unstuck.core.locations import RemotePath
from unstuck.errors import SetupError
from unstuck.testing import onnx_models


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Of a model with the versions 3 and 7; copies are made in a folder of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for version in (3, 7):
        onnx_models.half_plus_two(tmp_path / "half", version)
    return f"file://{tmp_path}/half"


def test_the_newest_version_is_found_in_a_copy(url, tmp_path):
    found = find(url, ("serve",))
    assert (found.name, found.version.version, found.engine.platform) == ("half", 7, "onnx")
    assert found.version.path.is_relative_to(tmp_path / "cache" / "unstuck")
    assert find(f"{url}/3/model.onnx", ("serve",)).version.path.name == "model.onnx"


def test_nothing_is_written_to_a_copy(url, tmp_path):
    with pytest.raises(SetupError, match=r"Model 'half' is remote: nothing is written there\. Give --out=FOLDER\."):
        find(url, ("serve",)).check_writable("--out=FOLDER")
    find(str(tmp_path / "half"), ("serve",)).check_writable("--out=FOLDER")


def test_inspect(url, capsys):
    assert inspect.run([url]) == 0
    assert "half" in capsys.readouterr().out


def test_bake_refuses_a_remote_onnx_model_as_it_does_a_local_one(url, tmp_path):
    with pytest.raises(SetupError, match="is no SavedModel"):
        bake.run([url, str(tmp_path / "out"), "--pipeline=x.yaml"])


def test_the_model_to_diagnose(url):
    (version, path), *_ = diagnose._versions(RemotePath(url)).items()
    assert (version, path.name, (path / "model.onnx").is_file()) == (7, "7", True)


def test_check_config_copies_nothing(url, tmp_path, capsys):
    file = tmp_path / "models.config"
    models = (
        f'name: "a" base_path: "{url}" model_version_policy {{ all {{}} }}',
        f'name: "b" base_path: "{url}/3/model.onnx"',
    )
    file.write_text("model_config_list {\n" + "".join(f"config {{ {each} }}\n" for each in models) + "}")
    assert check_config.run([str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"a: version 3, 7 of {url} (onnx)",
        f"b: version 3 of {url}/3/model.onnx (onnx)",
    ]
    (tmp_path / "half" / "3" / "model.onnx").unlink()
    assert check_config.run([str(file)]) == 1
    said = capsys.readouterr().err.replace(url, "URL")
    assert "Model 'a': URL/3 has no saved_model.pb, model.onnx or model.tflite." in said
    assert "Model 'b': URL/3/model.onnx does not exist" in said
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("where", "served"),
    [("http://h:8501/v1/models/m", True), ("https://h/v1/models/m", True), ("s3://bucket/m", False), ("/m", False)],
)
def test_which_urls_are_served_models(where, served):
    assert is_served(where) is served
