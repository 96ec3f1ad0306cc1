from pathlib import Path

import pytest

from unstuck.errors import SetupError
from unstuck.lifecycle.source import numbered_folders, version_folder, versions_in


def test_versions_are_the_numbered_folders_oldest_first(tmp_path):
    for name in ("10", "9", "00000123", "1a", "-1", "1.0", "assets", "², ", "٣"):
        (tmp_path / name).mkdir()
    (tmp_path / "77").write_text("a file")
    assert [(each.version, each.path.name) for each in versions_in(tmp_path)] == [
        (9, "9"),
        (10, "10"),
        (123, "00000123"),
    ]


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ([], "has no version folders (numbers such as 1/ or 00000123/) in it; it has nothing."),
        (["v1", "assets"], "it has assets, v1."),
        ([f"v{number}" for number in range(9)], "it has v0, v1, v2, v3, v4, v5, v6, v7."),
    ],
)
def test_a_folder_without_versions_says_what_it_has(tmp_path, inside, says):
    for name in inside:
        (tmp_path / name).mkdir()
    with pytest.raises(SetupError) as caught:
        versions_in(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert caught.value.message.endswith(says)
    assert "numbered folder" in caught.value.hint


def test_a_missing_folder_says_what_is_there_instead(tmp_path):
    (tmp_path / "half_plus_two").mkdir()
    with pytest.raises(SetupError, match="half_plus_tow/1 is not a folder") as caught:
        versions_in(tmp_path / "half_plus_tow" / "1")
    assert caught.value.hint == f"{tmp_path} exists and has half_plus_two."
    with pytest.raises(SetupError, match=r"m\.onnx does not exist\. .* exists and has half_plus_two\."):
        versions_in(tmp_path / "m.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="file is not a folder"):
        versions_in(tmp_path / "file")


@pytest.mark.parametrize(("name", "version"), [("7", 7), ("00000123", 123), ("model", 1), ("1.5", 1), ("²", 1)])
def test_a_folder_that_is_a_version_itself(tmp_path, name, version):
    found = version_folder(tmp_path / name)
    assert (found.version, found.path) == (version, tmp_path / name)


@pytest.mark.parametrize(("folder", "version"), [("7", 7), ("models", 1)])
def test_a_file_has_the_version_of_its_folder(tmp_path, folder, version):
    file = tmp_path / folder / "12"
    file.parent.mkdir()
    file.write_bytes(b"")
    found = version_folder(file)
    assert (found.version, found.path) == (version, file)


def test_a_folder_that_is_moved_away_while_it_is_listed_is_missing_and_not_empty(tmp_path, monkeypatch):
    base_path = tmp_path / "m"
    (base_path / "1").mkdir(parents=True)
    listed = Path.iterdir

    def moved_meanwhile(path):
        children = list(listed(path))
        if path == base_path:
            base_path.rename(tmp_path / "away")
        return iter(children)

    monkeypatch.setattr(Path, "iterdir", moved_meanwhile)
    with pytest.raises(SetupError, match="is not a folder"):
        numbered_folders(base_path)
